package template

// inertTypes have no local part: they are accepted, named in Resolved.Inert and can be referred to. Their properties are
// resolved, so that wrong references in them are found, and not checked further.
func inertTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::ApiGateway::Account": {resourceType: resourceType{ref: "{id}", attributes: map[string]string{"Id": "{id}"}}},
		"AWS::ApplicationInsights::Application": {resourceType: resourceType{
			nameProperty: "ResourceGroupName", ref: "arn:aws:applicationinsights:{region}:{account}:application/resource-group/{name}",
		}},
		"AWS::CloudWatch::Alarm": {resourceType: resourceType{
			nameProperty: "AlarmName", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		}},
		"AWS::CloudWatch::CompositeAlarm": {resourceType: resourceType{
			nameProperty: "AlarmName", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		}},
		"AWS::CloudWatch::Dashboard": {resourceType: resourceType{nameProperty: "DashboardName", ref: "{name}"}},
		"AWS::KMS::Alias":            {resourceType: resourceType{nameProperty: "AliasName", ref: "{name}"}},
		"AWS::KMS::Key": {resourceType: resourceType{
			ref: "{uuid}", attributes: map[string]string{"Arn": "arn:aws:kms:{region}:{account}:key/{uuid}", "KeyId": "{uuid}"},
		}},
		"AWS::Logs::LogGroup": {resourceType: resourceType{
			nameProperty: "LogGroupName", ref: "{name}",
			attributes: map[string]string{"Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"},
		}},
		"AWS::Logs::LogStream":          {resourceType: resourceType{nameProperty: "LogStreamName", ref: "{name}"}},
		"AWS::Logs::MetricFilter":       {resourceType: resourceType{nameProperty: "FilterName", ref: "{name}"}},
		"AWS::Logs::QueryDefinition":    {resourceType: resourceType{ref: "{uuid}", attributes: map[string]string{"QueryDefinitionId": "{uuid}"}}},
		"AWS::Logs::ResourcePolicy":     {resourceType: resourceType{nameProperty: "PolicyName", ref: "{name}"}},
		"AWS::Logs::SubscriptionFilter": {resourceType: resourceType{nameProperty: "FilterName", ref: "{name}"}},
		"AWS::ResourceGroups::Group": {resourceType: resourceType{
			nameProperty: "Name", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:resource-groups:{region}:{account}:group/{name}"},
		}},
		"AWS::SNS::Subscription": {resourceType: resourceType{
			ref: "arn:aws:sns:{region}:{account}:{stack}:{uuid}", attributes: map[string]string{"Arn": "arn:aws:sns:{region}:{account}:{stack}:{uuid}"},
		}, read: func(b *builder, r *resource, p properties) { b.readSubscription(r, p) },
		},
		"AWS::SNS::Topic": {resourceType: resourceType{
			nameProperty: "TopicName", ref: "arn:aws:sns:{region}:{account}:{name}",
			attributes: map[string]string{"TopicArn": "arn:aws:sns:{region}:{account}:{name}", "TopicName": "{name}"},
		}, read: func(b *builder, r *resource, p properties) {
			for _, subscription := range p.parts("Subscription") {
				b.checkSubscriber(subscription)
			}
			b.addInert(r)
		},
		},
		"AWS::SNS::TopicPolicy": {resourceType: resourceType{ref: "{id}", attributes: map[string]string{"Id": "{id}"}}},
		"AWS::XRay::Group": {resourceType: resourceType{nameProperty: "GroupName", ref: "{name}",
			attributes: map[string]string{"GroupARN": "arn:aws:xray:{region}:{account}:group/{name}/{id}"}}},
		"AWS::XRay::SamplingRule": {resourceType: resourceType{ref: "{id}", attributes: map[string]string{"RuleARN": "arn:aws:xray:{region}:{account}:sampling-rule/{id}"}}},
		"AWS::Budgets::Budget":    {resourceType: resourceType{ref: "{id}"}},
	}
}

func (b *builder) addInert(r *resource) {
	b.inert = append(b.inert, Inert{Source: b.source(r.id, r.position), Type: r.typ})
}

func (b *builder) readSubscription(r *resource, p properties) {
	b.checkSubscriber(p)
	b.addInert(r)
}

// checkSubscriber refuses subscribers that exist here and would wait in vain, as no topic delivers anything here.
func (b *builder) checkSubscriber(p properties) {
	if protocol := p.text("Protocol"); protocol == "sqs" || protocol == "lambda" {
		p.problem("Protocol", "topics are not emulated, so nothing would reach this %s subscriber", protocol)
	}
}
