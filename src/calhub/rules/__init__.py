"""Rules: busy blocks (`mirror`) and public calendars (`publish`), derived from events by pure functions.

`options` says what a rule was told, `choice` which instances it takes, `face` what a copy shows, `blocks` puts these
together to the copies of one event, `plan` compares them with the copies there are. `derive` does it in the hub.
"""
