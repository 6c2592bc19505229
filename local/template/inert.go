package template

// inertTypes have no local part: they are accepted, named in Resolved.Inert and can be referred to. Their properties are
// resolved, so that wrong references in them are found, and not checked further.
func inertTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::ApiGateway::Account": {ref: "{id}", attributes: map[string]string{"Id": "{id}"}},
		"AWS::ApplicationInsights::Application": {
			nameProperty: "ResourceGroupName", ref: "arn:aws:applicationinsights:{region}:{account}:application/resource-group/{name}",
		},
		"AWS::CloudWatch::Alarm": {
			nameProperty: "AlarmName", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		},
		"AWS::CloudWatch::CompositeAlarm": {
			nameProperty: "AlarmName", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
		},
		"AWS::CloudWatch::Dashboard": {nameProperty: "DashboardName", ref: "{name}"},
		"AWS::KMS::Alias":            {nameProperty: "AliasName", ref: "{name}"},
		"AWS::KMS::Key": {
			ref: "{uuid}", attributes: map[string]string{"Arn": "arn:aws:kms:{region}:{account}:key/{uuid}", "KeyId": "{uuid}"},
		},
		"AWS::Logs::LogGroup": {
			nameProperty: "LogGroupName", ref: "{name}",
			attributes: map[string]string{"Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"},
		},
		"AWS::Logs::LogStream":          {nameProperty: "LogStreamName", ref: "{name}"},
		"AWS::Logs::MetricFilter":       {nameProperty: "FilterName", ref: "{name}"},
		"AWS::Logs::QueryDefinition":    {ref: "{uuid}", attributes: map[string]string{"QueryDefinitionId": "{uuid}"}},
		"AWS::Logs::ResourcePolicy":     {nameProperty: "PolicyName", ref: "{name}"},
		"AWS::Logs::SubscriptionFilter": {nameProperty: "FilterName", ref: "{name}"},
		"AWS::ResourceGroups::Group": {
			nameProperty: "Name", ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:resource-groups:{region}:{account}:group/{name}"},
		},
		"AWS::SNS::Subscription": {
			ref: "arn:aws:sns:{region}:{account}:{stack}:{uuid}", attributes: map[string]string{"Arn": "arn:aws:sns:{region}:{account}:{stack}:{uuid}"},
			read: func(l *loader, r *resource, p properties) { l.readSubscription(r, p) },
		},
		"AWS::SNS::Topic": {
			read: func(l *loader, r *resource, p properties) {
				for _, subscription := range p.parts("Subscription") {
					l.checkSubscriber(subscription)
				}
				l.addInert(r)
			},
			nameProperty: "TopicName", ref: "arn:aws:sns:{region}:{account}:{name}",
			attributes: map[string]string{"TopicArn": "arn:aws:sns:{region}:{account}:{name}", "TopicName": "{name}"},
		},
		"AWS::SNS::TopicPolicy": {ref: "{id}", attributes: map[string]string{"Id": "{id}"}},
		"AWS::XRay::Group": {nameProperty: "GroupName", ref: "{name}",
			attributes: map[string]string{"GroupARN": "arn:aws:xray:{region}:{account}:group/{name}/{id}"}},
		"AWS::XRay::SamplingRule": {ref: "{id}", attributes: map[string]string{"RuleARN": "arn:aws:xray:{region}:{account}:sampling-rule/{id}"}},
		"AWS::Budgets::Budget":    {ref: "{id}"},
	}
}

func (l *loader) addInert(r *resource) {
	l.stack.inert = append(l.stack.inert, Inert{Source: l.source(r.id, r.position), Type: r.typ})
}

func (l *loader) readSubscription(r *resource, p properties) {
	l.checkSubscriber(p)
	l.addInert(r)
}

// checkSubscriber refuses subscribers that exist here and would wait in vain, as no topic delivers anything here.
func (l *loader) checkSubscriber(p properties) {
	if protocol := p.text("Protocol"); protocol == "sqs" || protocol == "lambda" {
		p.problem("Protocol", "topics are not emulated, so nothing would reach this %s subscriber", protocol)
	}
}
