"""The one exception a user causes and can mend; entry points print it as one sentence and exit with 2."""


class InputError(ValueError):
    """Bad input: names the file and line or the configuration key, what was found, and what would be right."""


def require(ok: bool, owner: object, field: str, must: str) -> None:
    """Refuse a configuration value: raises InputError naming the class, the field, its value and the allowed range."""
    if not ok:
        raise InputError(f"{type(owner).__name__}.{field} is {getattr(owner, field)!r}; it must be {must}")
