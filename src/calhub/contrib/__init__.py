"""calhub inside of other programs; each needs its own extra."""
