package template

import "slices"

// serverlessType is a resource type of SAM's, which expands into resources of CloudFormation's own.
type serverlessType struct {
	section string // its name in Globals
	schema  schema
	expand  func(e *expansion)
}

// serverlessTypes are those expanded here; the others are refused like any unknown type.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html
var serverlessTypes = map[string]*serverlessType{
	"AWS::Serverless::Function":     {"Function", serverlessFunction, (*expansion).function},
	"AWS::Serverless::SimpleTable":  {"SimpleTable", serverlessTable, (*expansion).simpleTable},
	"AWS::Serverless::WebSocketApi": {"WebSocketApi", serverlessWebSocketAPI, (*expansion).webSocketAPI},
}

// expansion turns one SAM resource into what its transform generates.
type expansion struct {
	l          *loader
	r          *resource
	properties // of the SAM resource, Globals merged, unresolved
	made       []*resource
}

// expandServerless replaces every SAM resource by what it stands for.
func (l *loader) expandServerless(transform bool, section *value) {
	globals := l.readGlobals(section)
	var order []*resource
	for _, r := range l.order {
		t := serverlessTypes[r.typ]
		if t == nil {
			order = append(order, r)
			continue
		}
		at := where{r.id, "Properties"}
		if !transform {
			l.problem(r.position, at, "a resource of type %s needs Transform: %s", r.typ, samTransform)
		}
		merged := l.withGlobals(r, globals[t.section])
		e := &expansion{l: l, r: r, properties: properties{l: l, at: at, object: merged, position: r.position}}
		e.check(t.schema)
		delete(l.resources, r.id)
		t.expand(e)
		for _, made := range e.made {
			if l.resources[made.id] != nil {
				l.problem(r.position, where{resource: r.id}, "SAM generates a resource %s, of which the template has another", made.id)
				continue
			}
			l.resources[made.id] = made
		}
		order = append(order, e.made...)
	}
	l.order = order
}

// add generates a resource. Properties without a value are left out.
func (e *expansion) add(id, typ string, fields ...field) *resource {
	made := &resource{
		id: id, typ: typ, position: e.r.position, properties: e.r.position.newObject(fields...), exists: e.r.exists,
		needs: map[string]bool{},
	}
	e.made = append(e.made, made)
	return made
}

// copied returns the SAM resource's own properties of these names, those that it has.
func (e *expansion) copied(keys ...string) []field {
	var fields []field
	for _, key := range keys {
		fields = append(fields, field{key, e.value(key)})
	}
	return fields
}

// tagList returns the tags that SAM puts on what it generates: its own and the resource's, as a list.
func (e *expansion) tagList(own *value) *value {
	at := e.r.position
	tags := []*value{at.newObject(field{"Key", at.newText("lambda:createdBy")}, field{"Value", at.newText("SAM")})}
	if own != nil && own.kind == object {
		for _, f := range own.fields {
			tags = append(tags, f.value.newObject(field{"Key", f.value.newText(f.key)}, field{"Value", f.value}))
		}
	}
	return at.newList(tags...)
}

// serverlessTable are the properties of AWS::Serverless::SimpleTable.
var serverlessTable = settable(`
	PointInTimeRecoverySpecification ProvisionedThroughput SSESpecification TableName Tags`).
	with(schema{
		"PrimaryKey": of(schema{"Name": known, "Type": known}),
	})

// attributeTypes are SAM's names of DynamoDB's key types.
var attributeTypes = map[string]string{"String": "S", "Number": "N", "Binary": "B"}

func (e *expansion) simpleTable() {
	at := e.r.position
	name, typ := at.newText("id"), "S"
	if key := e.part("PrimaryKey"); key.object != nil {
		key.require("Name", "Type")
		name = key.value("Name")
		given := key.text("Type")
		if typ = attributeTypes[given]; typ == "" && key.has("Type") {
			key.problem("Type", "%q is not one of String, Number, Binary", given)
		}
	}
	var billing *value
	if !e.has("ProvisionedThroughput") {
		billing = at.newText("PAY_PER_REQUEST")
	}
	var tags *value
	if own := e.value("Tags"); own != nil {
		tags = e.tagList(own)
		tags = tags.newList(tags.items[1:]...) // SAM does not mark tables as its own
	}
	table := e.add(e.r.id, "AWS::DynamoDB::Table", slices.Concat([]field{
		{"AttributeDefinitions", at.newList(at.newObject(field{"AttributeName", name}, field{"AttributeType", at.newText(typ)}))},
		{"KeySchema", at.newList(at.newObject(field{"AttributeName", name}, field{"KeyType", at.newText("HASH")}))},
		{"BillingMode", billing},
		{"Tags", tags},
	}, e.copied("PointInTimeRecoverySpecification", "ProvisionedThroughput", "SSESpecification", "TableName"))...)
	table.dependsOn, table.metadata = e.r.dependsOn, e.r.metadata
}
