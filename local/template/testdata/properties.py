"""Writes properties.json: the properties of the resource types that package template reads, as CloudFormation has them.

    python3 -m venv venv && venv/bin/pip install cfn-lint==1.58.0
    venv/bin/python properties.py

cfn-lint carries the schemas of CloudFormation's registry. A test holds that the package knows each of these properties,
to use or to refuse it, and no others.
"""

import json
import pathlib

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

TYPES = """
AWS::ApiGatewayV2::Api AWS::ApiGatewayV2::Authorizer AWS::ApiGatewayV2::Deployment AWS::ApiGatewayV2::Integration
AWS::ApiGatewayV2::IntegrationResponse AWS::ApiGatewayV2::Model AWS::ApiGatewayV2::Route AWS::ApiGatewayV2::RouteResponse
AWS::ApiGatewayV2::Stage AWS::DynamoDB::Table AWS::IAM::ManagedPolicy AWS::IAM::Policy AWS::IAM::Role AWS::IAM::RolePolicy
AWS::Lambda::EventSourceMapping AWS::Lambda::Function AWS::Lambda::Permission AWS::SQS::Queue AWS::SQS::QueuePolicy
AWS::SecretsManager::Secret
""".split()

properties = {
    name: sorted(PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema["properties"]) for name in TYPES
}
target = pathlib.Path(__file__).with_suffix(".json")
target.write_text(json.dumps(properties, indent=1) + "\n")
