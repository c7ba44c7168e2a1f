"""What holds for every test."""

from hypothesis import settings

# A machine with something else to do is slow, not wrong.
settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")
