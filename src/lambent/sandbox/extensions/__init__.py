"""Extensions of one environment: their API, their telemetry, their processes.

Read first: `conversation.py`, which ties them to the runtime. Everything here is per environment
and dies with it; an environment without extensions has none of it. What a level adds is how a
process is started beside the runtime, and how a port inside is dialled. May be imported by the
levels; imports the box protocol and the conversations. See docs/adr/0011-extensions-telemetry.md.
"""
