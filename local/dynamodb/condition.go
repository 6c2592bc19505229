package dynamodb

import (
	"slices"
	"strconv"
	"strings"
)

// condition is a ConditionExpression or FilterExpression, or a part of one.
type condition interface {
	holds(item) bool
}

// operand is an operand of a condition.
type operand interface {
	resolve(item) (value, bool)
}

type (
	constant struct{ value }
	sizeOf   struct{ of operand }

	and        struct{ left, right condition }
	or         struct{ left, right condition }
	not        struct{ condition condition }
	comparison struct {
		operator    string
		left, right operand
	}
	between struct{ what, low, high operand }
	in      struct {
		what operand
		list []operand
	}
	exists struct {
		path path
		want bool
	}
	isOfType struct {
		what operand
		kind kind
	}
	beginsWith struct{ what, prefix operand }
	contains   struct{ what, part operand }
)

func (p path) resolve(it item) (value, bool)  { return p.find(it) }
func (c constant) resolve(item) (value, bool) { return c.value, true }
func (s sizeOf) resolve(it item) (value, bool) {
	v, found := s.of.resolve(it)
	length, ok := v.length()
	if !found || !ok {
		return value{}, false
	}
	return value{kind: kindNumber, text: strconv.Itoa(length)}, true
}

func (c and) holds(it item) bool { return c.left.holds(it) && c.right.holds(it) }
func (c or) holds(it item) bool  { return c.left.holds(it) || c.right.holds(it) }
func (c not) holds(it item) bool { return !c.condition.holds(it) }

func (c comparison) holds(it item) bool {
	left, foundLeft := c.left.resolve(it)
	right, foundRight := c.right.resolve(it)
	if !foundLeft || !foundRight {
		return c.operator == "<>" // an absent attribute differs from every value
	}
	switch c.operator {
	case "=":
		return left.equal(right)
	case "<>":
		return !left.equal(right)
	}
	order, ok := left.compare(right)
	return ok && orderFits[c.operator](order)
}

var orderFits = map[string]func(int) bool{
	"<":  func(order int) bool { return order < 0 },
	"<=": func(order int) bool { return order <= 0 },
	">":  func(order int) bool { return order > 0 },
	">=": func(order int) bool { return order >= 0 },
}

func (c between) holds(it item) bool {
	return comparison{">=", c.what, c.low}.holds(it) && comparison{"<=", c.what, c.high}.holds(it)
}

func (c in) holds(it item) bool {
	return slices.ContainsFunc(c.list, func(o operand) bool { return comparison{"=", c.what, o}.holds(it) })
}

func (c exists) holds(it item) bool {
	_, found := c.path.find(it)
	return found == c.want
}

func (c isOfType) holds(it item) bool {
	v, found := c.what.resolve(it)
	return found && v.kind == c.kind
}

func (c beginsWith) holds(it item) bool {
	v, found := c.what.resolve(it)
	prefix, foundPrefix := c.prefix.resolve(it)
	return found && foundPrefix && v.kind == prefix.kind &&
		(v.kind == kindString || v.kind == kindBinary) && strings.HasPrefix(v.text, prefix.text)
}

func (c contains) holds(it item) bool {
	v, found := c.what.resolve(it)
	part, foundPart := c.part.resolve(it)
	switch {
	case !found || !foundPart:
		return false
	case v.isSet() || v.kind == kindList:
		return v.hasElement(part)
	}
	return v.kind == part.kind && (v.kind == kindString || v.kind == kindBinary) && strings.Contains(v.text, part.text)
}

// parseCondition parses the condition in this member of the request. It returns nil if the member is absent.
func (m *members) parseCondition(member string, ph *placeholders) (condition, error) {
	if !m.has(member) {
		return nil, nil
	}
	return parse(member, m.text(member), ph, func(p *parser) condition { return p.condition(p.disjunction()) })
}

// condition asserts that a parsed term is a condition, not an operand.
func (p *parser) condition(term any) condition {
	c, ok := term.(condition)
	if !ok {
		if _, ok := term.(sizeOf); ok {
			panic(validationError("The function is not allowed to be used this way in an expression; function: size"))
		}
		p.syntaxError()
	}
	return c
}

// operand asserts that a parsed term is an operand, not a condition.
func (p *parser) operand(term any) operand {
	o, ok := term.(operand)
	if !ok {
		if name, ok := functionName(term); ok {
			panic(validationError("The function is not allowed to be used this way in an expression; function: %s", name))
		}
		p.syntaxError()
	}
	return o
}

func functionName(term any) (string, bool) {
	switch c := term.(type) {
	case exists:
		if c.want {
			return "attribute_exists", true
		}
		return "attribute_not_exists", true
	case isOfType:
		return "attribute_type", true
	case beginsWith:
		return "begins_with", true
	case contains:
		return "contains", true
	}
	return "", false
}

// disjunction, conjunction, negation and term parse the grammar from its loosest operator to its tightest. Each returns
// a condition, or an operand if there is no operator.
func (p *parser) disjunction() any {
	term := p.conjunction()
	for p.next().is("OR") {
		left := p.condition(term)
		p.take()
		term = or{left, p.condition(p.conjunction())}
	}
	return term
}

func (p *parser) conjunction() any {
	term := p.negation()
	for p.next().is("AND") {
		left := p.condition(term)
		p.take()
		term = and{left, p.condition(p.negation())}
	}
	return term
}

func (p *parser) negation() any {
	if p.accept("NOT") {
		return not{p.condition(p.negation())}
	}
	return p.comparison()
}

func (p *parser) comparison() any {
	term := p.term()
	operator := p.next()
	switch {
	case operator.is("BETWEEN"):
		what := p.operand(term)
		p.take()
		low := p.operand(p.term())
		p.expect("AND")
		return checkBetween(between{what, low, p.operand(p.term())})
	case operator.is("IN"):
		what := p.operand(term)
		p.take()
		p.expect("(")
		members := list(p, func() operand { return p.operand(p.term()) })
		p.expect(")")
		if len(members) > maxInList {
			panic(validationError("Incorrect number of operands for operator or function; operator or function: IN, number of "+
				"operands: %d", len(members)))
		}
		return in{what, members}
	case slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, operator.text) && operator.kind == tokenPunctuation:
		left := p.operand(term)
		p.take()
		right := p.operand(p.term())
		checkDistinct(operator.text, left, right)
		return comparison{operator.text, left, right}
	}
	return term
}

// maxInList is the largest number of operands of IN (developer guide, "Comparison operator and function reference").
const maxInList = 100

func (p *parser) term() any {
	switch {
	case p.accept("("):
		doubled := p.next().is("(")
		start := p.at
		term := p.disjunction()
		if doubled && p.closes(start) {
			panic(validationError("The expression has redundant parentheses;"))
		}
		p.expect(")")
		return term
	case p.next().kind == tokenValue:
		return constant{p.value()}
	case p.isCall():
		return p.function()
	}
	return p.path()
}

// closes reports whether the bracket that opened at the token start closed just before the next token.
func (p *parser) closes(start int) bool {
	depth := 0
	for i := start; i < p.at; i++ {
		switch {
		case p.tokens[i].is("("):
			depth++
		case p.tokens[i].is(")"):
			if depth--; depth == 0 {
				return i == p.at-1
			}
		}
	}
	return false
}

// functions maps the functions of conditions to their numbers of operands.
var functions = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "size": 1,
	"attribute_type": 2, "begins_with": 2, "contains": 2,
}

func (p *parser) function() any {
	name := p.take().text
	count, known := functions[name]
	if !known {
		panic(validationError("Invalid function name; function: %s", name))
	}
	p.expect("(")
	arguments := list(p, func() operand { return p.operand(p.term()) })
	p.expect(")")
	if len(arguments) != count {
		panic(validationError("Incorrect number of operands for operator or function; operator or function: %s, number of "+
			"operands: %d", name, len(arguments)))
	}
	if count == 2 {
		checkDistinct(name, arguments[0], arguments[1])
	}
	switch name {
	case "attribute_exists", "attribute_not_exists":
		where, ok := arguments[0].(path)
		if !ok {
			panic(validationError("Operator or function requires a document path; operator or function: %s", name))
		}
		return exists{where, name == "attribute_exists"}
	case "attribute_type":
		return isOfType{arguments[0], typeOperand(arguments[1])}
	case "begins_with":
		checkKind(name, arguments[0], kindString, kindBinary)
		checkKind(name, arguments[1], kindString, kindBinary)
		return beginsWith{arguments[0], arguments[1]}
	case "contains":
		return contains{arguments[0], arguments[1]}
	}
	checkKind(name, arguments[0], kindString, kindBinary, kindList, kindMap, kindStringSet, kindNumberSet, kindBinarySet)
	return sizeOf{arguments[0]}
}

// typeOperand returns the type in the second operand of attribute_type.
func typeOperand(o operand) kind {
	c, ok := o.(constant)
	if !ok {
		panic(validationError("Incorrect operand type for operator or function; operator or function: attribute_type, " +
			"operand " +
			"type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"))
	}
	checkKind("attribute_type", c, kindString)
	named := kind(c.text)
	if !slices.Contains([]kind{kindString, kindNumber, kindBinary, kindBoolean, kindNull, kindList, kindMap,
		kindStringSet, kindNumberSet, kindBinarySet}, named) {
		panic(validationError("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
			c.text))
	}
	return named
}

// checkKind refuses a constant, or a size, of a type that the function does not accept. The type of an attribute is not
// known before evaluation.
func checkKind(function string, o operand, allowed ...kind) {
	var actual kind
	switch o := o.(type) {
	case constant:
		actual = o.kind
	case sizeOf:
		actual = kindNumber
	default:
		return
	}
	if !slices.Contains(allowed, actual) {
		panic(validationError("Incorrect operand type for operator or function; operator or function: %s, operand type: %s",
			function, actual))
	}
}

// checkDistinct refuses a comparison of an attribute with itself.
func checkDistinct(operator string, first, second operand) {
	left, ok := first.(path)
	right, alsoPath := second.(path)
	if ok && alsoPath && left.equal(right) {
		panic(validationError("The first operand must be distinct from the remaining operands for this operator or "+
			"function; "+
			"operator: %s, first operand: %s", operator, left))
	}
}

// checkBetween refuses constant bounds of different types or in the wrong order.
func checkBetween(c between) condition {
	low, ok := c.low.(constant)
	high, alsoConstant := c.high.(constant)
	if !ok || !alsoConstant {
		return c
	}
	bounds := func() string {
		return "lower bound operand: AttributeValue: " + describe(low.value) + ", upper bound operand: AttributeValue: " +
			describe(high.value)
	}
	order, comparable := low.compare(high.value)
	switch {
	case low.kind != high.kind:
		panic(validationError("The BETWEEN operator requires same data type for lower and upper bounds; %s", bounds()))
	case comparable && order > 0:
		panic(validationError("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; %s",
			bounds()))
	}
	return c
}

// describe formats a value as in AWS's error messages.
func describe(v value) string {
	return "{" + string(v.kind) + ":" + v.text + "}"
}
