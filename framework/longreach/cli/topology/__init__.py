"""`longreach topology`: one description of brokers, regions and who may do what; all configuration from it.

`reading` and `checking` make a `Description`, `generate` makes files of it as values, `store` writes them.
"""
