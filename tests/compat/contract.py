"""How a contract with private Keras is checked, and what it says when it is broken."""

import inspect


def changed(name: str, user: str, purpose: str) -> str:
    """For an assertion about a private name of Keras.

    Args:
        name: As Keras has it: `Optimizer._get_variable_index`.
        user: The module and name in `keras_resnet.compat` that rely on it: `optimizers.HookedOptimizer`.
        purpose: What for, after "to".
    """
    relies = f"keras_resnet.compat.{user} relies on it to {purpose}"
    return f"Keras changed {name}: {relies}; see keras<3.16 in pyproject.toml"


def assert_takes(owner: object, name: str, parameters: tuple[str, ...], user: str, purpose: str) -> None:
    """Fail unless `owner` has the function `name` with exactly these parameters, `self` left out."""
    label = f"{getattr(owner, '__name__', owner)}.{name}"
    message = changed(label, user, purpose)
    assert hasattr(owner, name), message
    found = tuple(parameter for parameter in inspect.signature(getattr(owner, name)).parameters if parameter != "self")
    assert found == parameters, f"{message}. It takes {found}, expected {parameters}"
