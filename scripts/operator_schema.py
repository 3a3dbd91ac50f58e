"""What of the Prometheus Operator's schemas deploy/kubernetes uses, for kubernetes-check and kubernetes-test.

It leaves to them what is held against it. Standard library only.
"""

GROUP = "monitoring.coreos.com"
OPERATOR = f"{GROUP}/v1"
# The parts of the operator's schemas that are used here: anything else is more likely a slip than a wish.
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": r"^(\d+(ms|s|m|h|d))+$"}
OPERATOR_SPECS = {
    "ServiceMonitor": {
        "type": "object",
        "required": ["selector", "endpoints"],
        "additionalProperties": False,
        "properties": {
            "selector": {"type": "object", "additionalProperties": False, "properties": {"matchLabels": TEXTS}},
            "endpoints": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["port", "honorLabels"],
                    "properties": {
                        "port": {"type": "string"},
                        "path": {"type": "string"},
                        # Or the label "service" of our series is renamed, and no alert finds it.
                        "honorLabels": {"const": True},
                        "interval": DURATION,
                        "scrapeTimeout": DURATION,
                        "relabelings": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    "action": {"enum": ["replace"]},
                                    "sourceLabels": {"type": "array", "items": {"type": "string"}},
                                    "targetLabel": {"type": "string"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
    "PrometheusRule": {
        "type": "object",
        "required": ["groups"],
        "additionalProperties": False,
        "properties": {
            "groups": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "rules"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string", "minLength": 1},
                        "interval": DURATION,
                        "labels": TEXTS,
                        "rules": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["expr"],
                                "additionalProperties": False,
                                "properties": {
                                    "alert": {"type": "string"},
                                    "record": {"type": "string"},
                                    "expr": {"type": ["string", "integer"]},
                                    "for": DURATION,
                                    "keep_firing_for": DURATION,
                                    "labels": TEXTS,
                                    "annotations": TEXTS,
                                },
                            },
                        },
                    },
                },
            }
        },
    },
}


def definitions():
    """The CustomResourceDefinitions with these schemas, for an API server without the operator."""
    return [definition(kind, spec) for kind, spec in OPERATOR_SPECS.items()]


def definition(kind, spec):
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": structural(spec)}}
    plural = kind.lower() + "s"
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }


def structural(schema):
    """The same schema in the words that an API server allows; it refuses or drops what is not named by itself."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == ["string", "integer"]:
        return {"x-kubernetes-int-or-string": True}
    if "const" in schema:
        return {"type": "boolean", "enum": [schema["const"]]}
    if "enum" in schema and "type" not in schema:
        return {"type": "string", **schema}
    made = {}
    for name, value in schema.items():
        if name == "properties":
            made[name] = {each: structural(inner) for each, inner in value.items()}
        elif name != "additionalProperties" or value is not False:
            made[name] = structural(value)
    return made
