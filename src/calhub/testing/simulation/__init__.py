"""The whole engine in a simulation: users, services with quirks, crashes and a clock, all from one seed.

    steps     what can happen, as sentences that anybody can read; a scenario file is a list of them
    play      carries the sentences out on a real hub with services in memory
    ledger    remembers what users typed, and what has to be left of it
    checks    I1 to I10, after each step
    rest      Q1 to Q12, once everybody has stopped
    invent    makes up scenarios from a seed
    soak      plays made-up scenarios until the time is over; shortens what fails

`docs/testing.md` says what the invariants are.
"""
