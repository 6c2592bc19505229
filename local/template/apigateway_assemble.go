package template

import (
	"fmt"
	"slices"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// assembleAPIs builds every API once for each of its stages.
func (b *builder) assembleAPIs() {
	parts := &b.parts
	for _, api := range parts.apis {
		staged := false
		for _, stage := range parts.stages {
			if stage.api != api.api {
				continue
			}
			staged = true
			deployed := api.model
			deployed.Stage = stage.model.Stage
			deployed.Routes = b.deployedRoutes(api, stage)
			b.apis = append(b.apis, deployed)
			for key := range stage.model.RouteSettings {
				if !slices.ContainsFunc(deployed.Routes, func(r Route) bool { return r.Key == key }) {
					stage.at.Part("RouteSettings").Problem(key, "the API has no such route")
				}
			}
		}
		if !staged {
			b.warn(api.model.Source, "the API has no stage, so clients cannot connect to it")
		}
	}
	b.checkOwners()
}

// checkOwners reports parts of APIs that are not in the template.
func (b *builder) checkOwners() {
	known := map[string]bool{}
	for _, api := range b.parts.apis {
		known[api.api] = true
	}
	check := func(id string, at tree.Reader) {
		if id != "" && !known[id] {
			at.Problem("ApiId", "the template has no WebSocket API %s", id)
		}
	}
	parts := &b.parts
	for _, p := range parts.stages {
		check(p.api, p.at)
	}
	for _, p := range parts.deployments {
		check(p.api, p.at)
	}
	for _, p := range parts.routes {
		check(p.api, p.at)
	}
	for _, p := range parts.integrations {
		check(p.api, p.at)
	}
	for _, p := range parts.authorizers {
		check(p.api, p.at)
	}
	for _, p := range parts.routeResponses {
		if find(parts.routes, func(r routeOfTarget) bool { return r.ID == p.model.parent }) == nil && p.model.parent != "" {
			p.at.Problem("RouteId", "the template has no route %s", p.model.parent)
		}
	}
	for _, p := range parts.integrationResponses {
		if find(parts.integrations, func(i Integration) bool { return i.ID == p.model.parent }) == nil &&
			p.model.parent != "" {
			p.at.Problem("IntegrationId", "the template has no integration %s", p.model.parent)
		}
	}
}

// find returns the first part for which is returns true, or nil.
func find[T any](parts []part[T], is func(T) bool) *part[T] {
	for i := range parts {
		if is(parts[i].model) {
			return &parts[i]
		}
	}
	return nil
}

// deployedRoutes returns the routes of a stage: those of the API, if the stage has AutoDeploy or a deployment. AWS
// deploys what exists when it creates the deployment. A part that the deployment does not depend on may be missing
// there, so it causes a warning here.
func (b *builder) deployedRoutes(api part[WebSocketAPI], stage part[stageOfDeployment]) []Route {
	parts := &b.parts
	checkAwaited := func(*cfn.Resource) {}
	if !stage.model.autoDeploy {
		deployment := find(parts.deployments, func(id string) bool { return id == stage.model.deployment })
		switch {
		case stage.at.Invalid("DeploymentId") || stage.at.Invalid("AutoDeploy"):
			return nil
		case stage.model.deployment == "":
			b.Problem(stage.at.Position, stage.at.At, "nothing is deployed to the stage: set AutoDeploy to true")
			return nil
		case deployment == nil || deployment.api != api.api:
			stage.at.Problem("DeploymentId", "the API has no deployment %s", stage.model.deployment)
			return nil
		}
		awaited := b.Dependencies(deployment.r)
		checkAwaited = func(r *cfn.Resource) {
			if !awaited[r.ID] {
				b.Warn(r.Position, tree.Place{Resource: r.ID},
					"the deployment %s does not depend on it, so AWS may deploy without it: "+
						"add it to DependsOn, or set AutoDeploy to true", deployment.r.ID)
			}
		}
	} else if stage.model.deployment != "" {
		stage.at.Problem("DeploymentId", "cannot be given with AutoDeploy")
	}
	var routes []Route
	for _, route := range parts.routes {
		if route.api != api.api {
			continue
		}
		checkAwaited(route.r)
		if route.model.Key != "" && slices.ContainsFunc(routes, func(r Route) bool { return r.Key == route.model.Key }) {
			route.at.Problem("RouteKey", "the API has two routes %s", route.model.Key)
		}
		deployed := route.model.Route
		deployed.Integration = b.integrationOf(route, stage.model.Name, checkAwaited)
		deployed.Authorizer = b.authorizerOf(route)
		for _, response := range parts.routeResponses {
			if response.model.parent == route.model.ID {
				checkAwaited(response.r)
				deployed.Responses = append(deployed.Responses, response.model.response)
			}
		}
		routes = append(routes, deployed)
	}
	return routes
}

// integrationOf returns the integration of a route, nil without one.
func (b *builder) integrationOf(
	route part[routeOfTarget], stage string, checkAwaited func(*cfn.Resource),
) *Integration {
	if route.model.integration == "" {
		return nil
	}
	parts := &b.parts
	found := find(parts.integrations, func(i Integration) bool { return i.ID == route.model.integration })
	if found == nil || found.api != route.api {
		route.at.Problem("Target", "the API has no integration %s", route.model.integration)
		return nil
	}
	integration := found.model
	for _, response := range parts.integrationResponses {
		if response.model.parent == integration.ID {
			checkAwaited(response.r)
			integration.Responses = append(integration.Responses, response.model.response)
		}
	}
	if integration.Type != "AWS_PROXY" || integration.FunctionName == "" {
		return &integration
	}
	function := b.functionNamed(integration.FunctionName)
	if function == nil {
		found.at.Problem("IntegrationUri", "the template has no function %s", integration.FunctionName)
		return &integration
	}
	integration.FunctionName = function.Name
	source := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s/%s", b.options.Region, b.options.Account, route.api, stage,
		route.model.Key)
	if integration.Invocable = b.invocable(function, source); !integration.Invocable {
		b.warn(integration.Source,
			"API Gateway may not invoke %s for %s: every message of the route will fail with an internal server "+
				"error; write an AWS::Lambda::Permission", function.LogicalID, source)
	}
	return &integration
}

// authorizerOf returns the authorizer of a route, nil without one.
func (b *builder) authorizerOf(route part[routeOfTarget]) *Authorizer {
	if route.model.authorizer == "" {
		return nil
	}
	found := find(b.parts.authorizers, func(a Authorizer) bool { return a.ID == route.model.authorizer })
	if found == nil || found.api != route.api {
		route.at.Problem("AuthorizerId", "the API has no authorizer %s", route.model.authorizer)
		return nil
	}
	authorizer := found.model
	function := b.functionNamed(authorizer.FunctionName)
	if function == nil {
		if authorizer.FunctionName != "" {
			found.at.Problem("AuthorizerUri", "the template has no function %s", authorizer.FunctionName)
		}
		return &authorizer
	}
	authorizer.FunctionName = function.Name
	source := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/authorizers/%s", b.options.Region, b.options.Account, route.api,
		authorizer.ID)
	if authorizer.Invocable = b.invocable(function, source); !authorizer.Invocable {
		b.warn(authorizer.Source, "API Gateway may not invoke %s for %s: every connection will fail with 500; "+
			"write an AWS::Lambda::Permission", function.LogicalID, source)
	}
	return &authorizer
}
