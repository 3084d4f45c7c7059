"""What the package raises and warns."""


class SpatraceError(Exception):
    """Base of every error raised by this package."""


class InvalidArgumentError(SpatraceError, ValueError):
    """An argument has a value that cannot be used. The message names the argument, what was found and what to pass."""


class MissingKeyError(SpatraceError, KeyError):
    """A slot or column is not in the data. The message lists those that are and says what to call."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DataError(SpatraceError, ValueError):
    """The data cannot be used as they are."""


class DeviceError(SpatraceError, RuntimeError):
    """A device was asked for that this machine does not have."""


class SpatraceWarning(UserWarning):
    """Something of the user's data deserves a second look; the computation goes on."""
