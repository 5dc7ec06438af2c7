"""The folder that is put on ``PYTHONPATH`` of a traced process; Python imports ``sitecustomize`` from it by itself."""
