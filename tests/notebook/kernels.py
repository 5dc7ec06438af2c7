"""A real Jupyter kernel, and a user at it who runs cells, presses stop, and loses it."""

import os
import queue
import time

from jupyter_client.manager import KernelManager

PATIENCE_S = 180.0


class Kernel:
    """One kernel; ``run`` executes a cell as a front end does."""

    def __init__(self, folder, **env):
        left_out = ("PYTHONHASHSEED", "SURVIVOR_STORE")
        environment = {k: v for k, v in os.environ.items() if k not in left_out}
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder), env=environment | {"OMP_NUM_THREADS": "1"} | env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def run(self, cell):
        """Execute a cell to its end."""
        return self.begin(cell).wait()

    def begin(self, cell):
        """Send a cell; its outputs are read as the caller asks for them."""
        return Cell(self, self.client.execute(cell))

    def interrupt(self):
        self.manager.interrupt_kernel()

    def kill(self):
        """SIGKILL, as when the machine takes the kernel away."""
        self.manager.provisioner.process.kill()
        self.manager.provisioner.process.wait()

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


class Cell:
    """A cell that was sent."""

    def __init__(self, kernel, message_id):
        self._kernel, self._id = kernel, message_id
        self.out, self.err, self.error, self.result = "", "", "", ""
        self.lines = {}  # display id -> what it shows
        self.shown = []  # all that such lines have shown
        self.done = False

    def wait(self):
        while not self.done:
            self._step()
        return self

    def until(self, condition):
        """Read outputs until ``condition(cell)``."""
        while not condition(self):
            assert not self.done, f"the cell ended before: {self.out!r} {self.err!r} {self.error!r} {self.shown}"
            self._step()
        return self

    def _step(self):
        deadline = time.monotonic() + PATIENCE_S
        try:
            message = self._kernel.client.get_iopub_msg(timeout=deadline - time.monotonic())
        except queue.Empty:
            raise AssertionError(f"nothing comes: {self.out!r} {self.err!r} {self.shown}") from None
        if message["parent_header"].get("msg_id") != self._id:
            return
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            if content["name"] == "stdout":
                self.out += content["text"]
            else:
                self.err += content["text"]
        elif kind in ("display_data", "update_display_data"):
            text = content["data"]["text/plain"]
            known = content.get("transient", {}).get("display_id")
            assert kind == "display_data" or known in self.lines, "an update of nothing"
            self.lines[known] = text
            self.shown.append(text)
        elif kind == "execute_result":
            self.result = content["data"]["text/plain"]
        elif kind == "error":
            self.error = "\n".join(content["traceback"]) or f"{content['ename']}: {content['evalue']}"
        elif kind == "status" and content["execution_state"] == "idle":
            self.done = True
