"""How Django knows the app."""

from django.apps import AppConfig


class CalhubConfig(AppConfig):  # type: ignore[misc]  # Django publishes no types
    name = "calhub.contrib.django"
    label = "calhub"
    verbose_name = "calhub"
