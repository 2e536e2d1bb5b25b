"""Validates the events of a run with the classes of the OpenLineage client.

The classes are generated from the published schemas. Every field must be known, no required field may
be missing, and the event must name the schema of its class.

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
        members = vars(importlib.import_module(f"{generated.__name__}.{module.name}"))
        classes |= {name: item for name, item in members.items() if inspect.isclass(item) and attr.has(item)}
    events = [json.loads(line) for line in open(sys.argv[1])]
    facets = 0
    for event in events:
        assert_fields(event, event_v2.RunEvent)
        assert event["schemaURL"] == event_v2.RunEvent._get_schema(), event["schemaURL"]
        assert event["eventType"] in {state.value for state in event_v2.RunState}, event["eventType"]
        left = [event]
        while left:
            value = left.pop()
            if isinstance(value, dict) and "_schemaURL" in value:
                assert_fields(value, classes[value["_schemaURL"].rsplit("/", 1)[1]])
                facets += 1
            left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    assert [event["eventType"] for event in events] == ["START", "RUNNING", "COMPLETE"] and facets > 20
    print(f"lineage: ok, {len(events)} events, {facets} facets")


def assert_fields(value, cls) -> None:
    fields = [field for field in attr.fields(cls) if not field.name.startswith("_")]
    names = {name for name in value if not name.startswith("_")}
    assert names <= {field.name for field in fields}, (cls, names)
    assert {field.name for field in fields if field.default is attr.NOTHING} <= names, (cls, names)


if __name__ == "__main__":
    main()
