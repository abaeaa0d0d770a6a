"""A made-up ``/proc`` and ``/sys/fs/cgroup``."""


class FakeCgroups:
    def __init__(self, folder, membership):
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        self.write(self.proc / "self" / "cgroup", membership)

    def group(self, path, **files):
        """A group's directory with files whose names have ``__`` for a dot."""
        for name, text in files.items():
            self.write(self.cgroups / path / name.replace("__", "."), f"{text}\n")

    def vmstat(self, text):
        self.write(self.proc / "vmstat", text)

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def roots(self):
        return self.proc, self.cgroups
