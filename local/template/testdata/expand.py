"""Writes <name>.expanded.json beside every <name>.yaml here: what aws-sam-translator makes of it.

    python3 -m venv /tmp/sam && /tmp/sam/bin/pip install aws-sam-translator==1.115.0 pyyaml
    /tmp/sam/bin/python testdata/expand.py [template.yaml ...]

The tests compare these files with what package template makes of the same templates, so they need no Python. Local code
is replaced by a place in S3, as "sam package" does, because the translator accepts nothing else; the tests put it back.
"""

import json
import os
import pathlib
import sys
from unittest import mock

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform  # noqa: F401  (fails early when the package is incomplete)
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
# Dates stay as written; CloudFormation has no such type.
Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def expand(path):
    template = yaml.load(path.read_text(), Loader)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    with mock.patch("botocore.client.ClientEndpointBridge", autospec=True):
        expanded = translator.translate(template, parameter_values={})
    target = path.with_suffix(".expanded.json")
    target.write_text(json.dumps(expanded, indent=1, sort_keys=True) + "\n")
    print(target)


here = pathlib.Path(__file__).parent
for path in map(pathlib.Path, sys.argv[1:] or sorted(here.glob("*.yaml"))):
    expand(path)
