"""calhub as a Django app: management commands for sites that start their cron jobs through ``manage.py``.

Add ``"calhub.contrib.django"`` to ``INSTALLED_APPS``. The setting ``CALHUB_HOME`` names the home; without it the home
is that of the command line. The app has no models: everything is in the hub.
"""
