"""A site that has nothing but calhub. Its home is that of the command line, so that the tests can choose it."""

SECRET_KEY = "not a secret: the site serves nobody"
INSTALLED_APPS = ["calhub.contrib.django"]
USE_TZ = True
