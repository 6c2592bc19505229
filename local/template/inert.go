package template

import (
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// inertTypes returns the types that are accepted and not emulated. Their resources are in Resolved.Inert, and others
// may refer to them. Their properties are evaluated, to find wrong references, and not checked against a schema.
func inertTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::ApiGateway::Account": {Type: cfn.Type{Ref: "{id}", Attributes: map[string]string{"Id": "{id}"}}},
		"AWS::ApplicationInsights::Application": {Type: cfn.Type{
			NameProperty: "ResourceGroupName",
			Ref:          "arn:aws:applicationinsights:{region}:{account}:application/resource-group/{name}",
		}},
		"AWS::CloudWatch::Alarm": {Type: cfn.Type{
			NameProperty: "AlarmName", Ref: "{name}",
			Attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		}},
		"AWS::CloudWatch::CompositeAlarm": {Type: cfn.Type{
			NameProperty: "AlarmName", Ref: "{name}",
			Attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		}},
		"AWS::CloudWatch::Dashboard": {Type: cfn.Type{NameProperty: "DashboardName", Ref: "{name}"}},
		"AWS::KMS::Alias":            {Type: cfn.Type{NameProperty: "AliasName", Ref: "{name}"}},
		"AWS::KMS::Key": {Type: cfn.Type{
			Ref: "{uuid}", Attributes: map[string]string{"Arn": "arn:aws:kms:{region}:{account}:key/{uuid}", "KeyId": "{uuid}"},
		}},
		"AWS::Logs::LogGroup": {Type: cfn.Type{
			NameProperty: "LogGroupName", Ref: "{name}",
			Attributes: map[string]string{"Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"},
		}},
		"AWS::Logs::LogStream":    {Type: cfn.Type{NameProperty: "LogStreamName", Ref: "{name}"}},
		"AWS::Logs::MetricFilter": {Type: cfn.Type{NameProperty: "FilterName", Ref: "{name}"}},
		"AWS::Logs::QueryDefinition": {Type: cfn.Type{Ref: "{uuid}",
			Attributes: map[string]string{"QueryDefinitionId": "{uuid}"}}},
		"AWS::Logs::ResourcePolicy":     {Type: cfn.Type{NameProperty: "PolicyName", Ref: "{name}"}},
		"AWS::Logs::SubscriptionFilter": {Type: cfn.Type{NameProperty: "FilterName", Ref: "{name}"}},
		"AWS::ResourceGroups::Group": {Type: cfn.Type{
			NameProperty: "Name", Ref: "{name}",
			Attributes: map[string]string{"Arn": "arn:aws:resource-groups:{region}:{account}:group/{name}"},
		}},
		"AWS::SNS::Subscription": {Type: cfn.Type{
			Ref:        "arn:aws:sns:{region}:{account}:{stack}:{uuid}",
			Attributes: map[string]string{"Arn": "arn:aws:sns:{region}:{account}:{stack}:{uuid}"},
		}, read: func(b *builder, r *cfn.Resource, p tree.Reader) { b.readSubscription(r, p) },
		},
		"AWS::SNS::Topic": {Type: cfn.Type{
			NameProperty: "TopicName", Ref: "arn:aws:sns:{region}:{account}:{name}",
			Attributes: map[string]string{"TopicArn": "arn:aws:sns:{region}:{account}:{name}", "TopicName": "{name}"},
		}, read: func(b *builder, r *cfn.Resource, p tree.Reader) {
			for _, subscription := range p.Parts("Subscription") {
				b.checkSubscriber(subscription)
			}
			b.addInert(r)
		},
		},
		"AWS::SNS::TopicPolicy": {Type: cfn.Type{Ref: "{id}", Attributes: map[string]string{"Id": "{id}"}}},
		"AWS::XRay::Group": {Type: cfn.Type{NameProperty: "GroupName", Ref: "{name}",
			Attributes: map[string]string{"GroupARN": "arn:aws:xray:{region}:{account}:group/{name}/{id}"}}},
		"AWS::XRay::SamplingRule": {Type: cfn.Type{Ref: "{id}",
			Attributes: map[string]string{"RuleARN": "arn:aws:xray:{region}:{account}:sampling-rule/{id}"}}},
		"AWS::Budgets::Budget": {Type: cfn.Type{Ref: "{id}"}},
	}
}

// addInert adds a resource that is not emulated.
func (b *builder) addInert(r *cfn.Resource) {
	b.inert = append(b.inert, Inert{Source: b.source(r.ID, r.Position), Type: r.Type})
}

func (b *builder) readSubscription(r *cfn.Resource, p tree.Reader) {
	b.checkSubscriber(p)
	b.addInert(r)
}

// checkSubscriber reports subscribers that would receive nothing, because topics are not emulated.
func (b *builder) checkSubscriber(p tree.Reader) {
	if protocol := p.Text("Protocol"); protocol == "sqs" || protocol == "lambda" {
		p.Problem("Protocol", "topics are not emulated, so this %s subscriber would receive nothing", protocol)
	}
}
