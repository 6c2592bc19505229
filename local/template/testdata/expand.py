"""Writes <name>.expanded.json for every <name>.yaml in this folder: the template as aws-sam-translator expands it.

    python3 -m venv venv && venv/bin/pip install aws-sam-translator==1.115.0 pyyaml
    venv/bin/python expand.py

For this repository's own template it writes fanfare.expanded.json, which has only the resources that SAM generates: the
translator does not change the others. Run it again after a change of a SAM resource in template.yaml.

The tests compare these files with the result of package template, so they need no Python. The translator accepts only
code in S3, so local code is replaced by an S3 URI, as "sam package" does. The tests restore it.
"""

import json
import pathlib

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms into long ones."""


def long_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else "Fn::" + suffix: value}


Loader.add_multi_constructor("!", long_form)
# CloudFormation takes dates as they are written.
Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def expand(path):
    template = yaml.load(path.read_text(), Loader)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code"
    plain = {name for name, resource in template["Resources"].items() if not resource["Type"].startswith("AWS::Serverless::")}
    session = boto3.Session(region_name="us-east-1")
    return Translator({}, Parser(), boto_session=session).translate(template, parameter_values={}), plain


def write(path, template):
    path.write_text(json.dumps(template, indent=1, sort_keys=True) + "\n")
    print(path.name)


here = pathlib.Path(__file__).resolve().parent
for path in sorted(here.glob("*.yaml")):
    write(path.with_suffix(".expanded.json"), expand(path)[0])
own, plain = expand(here.parents[2] / "template.yaml")
generated = {name: resource for name, resource in own["Resources"].items() if name not in plain}
write(here / "fanfare.expanded.json", {"Resources": generated})
