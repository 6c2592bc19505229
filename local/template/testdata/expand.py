"""Writes <name>.expanded.json beside every <name>.yaml here: what aws-sam-translator makes of it.

    python3 -m venv venv && venv/bin/pip install aws-sam-translator==1.115.0 pyyaml
    venv/bin/python expand.py

It first refreshes fanfare.yaml, the copy of this repository's own template. The tests compare what is written here with
what package template makes of the same templates, so they need no Python. Local code is replaced by a place in S3, as
"sam package" does, because the translator accepts nothing else; the tests put it back.
"""

import json
import pathlib
import shutil

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
    session = boto3.Session(region_name="us-east-1")
    expanded = Translator({}, Parser(), boto_session=session).translate(template, parameter_values={})
    target = path.with_suffix(".expanded.json")
    target.write_text(json.dumps(expanded, indent=1, sort_keys=True) + "\n")
    print(target.name)


here = pathlib.Path(__file__).resolve().parent
shutil.copyfile(here.parents[2] / "template.yaml", here / "fanfare.yaml")
for path in sorted(here.glob("*.yaml")):
    expand(path)
