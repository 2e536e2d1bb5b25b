"""Holds the events of a run to OpenLineage's own client, whose classes are generated from the published schemas: every field is one
that they know, none that they require is missing, and the event names the schema that they name.

    python client.py EVENTS
"""

import importlib
import inspect
import json
import pkgutil
import sys

import attr
import openlineage.client.generated as generated
from openlineage.client import event_v2


def main() -> None:
    classes = {}
    for module in pkgutil.iter_modules(generated.__path__):
        found = vars(importlib.import_module(f"{generated.__name__}.{module.name}"))
        classes |= {name: one for name, one in found.items() if inspect.isclass(one) and attr.has(one)}
    events = [json.loads(line) for line in open(sys.argv[1])]
    facets = 0
    for event in events:
        held(event, event_v2.RunEvent)
        assert event["schemaURL"] == event_v2.RunEvent._get_schema(), event["schemaURL"]
        assert event["eventType"] in {state.value for state in event_v2.RunState}, event["eventType"]
        left = [event]
        while left:
            value = left.pop()
            if isinstance(value, dict) and "_schemaURL" in value:
                held(value, classes[value["_schemaURL"].rsplit("/", 1)[1]])
                facets += 1
            left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    assert [event["eventType"] for event in events] == ["START", "RUNNING", "COMPLETE"] and facets > 20
    print(f"lineage: ok, {len(events)} events, {facets} facets")


def held(value, to) -> None:
    fields = [field for field in attr.fields(to) if not field.name.startswith("_")]
    said = {name for name in value if not name.startswith("_")}
    assert said <= {field.name for field in fields}, (to, said)
    assert {field.name for field in fields if field.default is attr.NOTHING} <= said, (to, said)


if __name__ == "__main__":
    main()
