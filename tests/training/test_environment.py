"""What of ``os.environ`` goes into a checkpoint."""

from survivor.state import environment


def test_changes_since_the_start_are_carried_and_secrets_are_not(monkeypatch):
    for name in ("STAGE", "GONE", "API_KEY", "hf_token"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setattr(environment, "_at_start", {})
    monkeypatch.setattr(environment, "_began", False)
    environment.begin()
    assert environment.read() == {}
    monkeypatch.setenv("STAGE", "two")
    monkeypatch.delenv("GONE")
    monkeypatch.setenv("API_KEY", "hush")
    monkeypatch.setenv("hf_token", "hush")
    found = environment.read()
    assert found == {"STAGE": "two", "GONE": None}
    environment.write({})
    assert environment.os.environ["STAGE"] == environment.os.environ["GONE"] == "before"
    assert environment.os.environ["API_KEY"] == "hush", "another's business"
    environment.write(found)
    assert environment.os.environ["STAGE"] == "two" and "GONE" not in environment.os.environ
