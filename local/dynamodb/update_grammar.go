package dynamodb

// parseUpdate parses an UpdateExpression. Without one, the update changes nothing.
func (m *members) parseUpdate(ph *placeholders) (*update, error) {
	if !m.has("UpdateExpression") {
		return &update{}, nil
	}
	return parse("UpdateExpression", m.text("UpdateExpression"), ph, (*parser).update)
}

func (p *parser) update() *update {
	u := &update{}
	sections := map[string]func(){
		"SET":    func() { u.set = list(p, p.assignment) },
		"REMOVE": func() { u.remove = list(p, p.path) },
		"ADD":    func() { u.add = list(p, func() change { return p.change("ADD") }) },
		"DELETE": func() { u.delete = list(p, func() change { return p.change("DELETE") }) },
	}
	seen := make(map[string]bool)
	for {
		name := ""
		for section := range sections {
			if p.next().is(section) {
				name = section
			}
		}
		if name == "" {
			p.syntaxError()
		}
		p.take()
		sections[name]()
		if seen[name] {
			panic(validationError("The \"%s\" section can only be used once in an update expression;", name))
		}
		seen[name] = true
		if p.next().kind == tokenEnd {
			break
		}
	}
	if err := checkOverlap(u.paths()); err != nil {
		panic(err)
	}
	return u
}

func (p *parser) assignment() assignment {
	where := p.path()
	p.expect("=")
	left, isSum := p.updateTerm()
	operator := p.next()
	if isSum || !operator.is("+") && !operator.is("-") {
		return assignment{where, left}
	}
	return assignment{where, p.sum(left)}
}

// updateTerm parses the right side of an assignment up to its operator: an operand, or a whole sum in brackets.
func (p *parser) updateTerm() (term expression, isSum bool) {
	if !p.next().is("(") {
		return p.updateOperand(), false
	}
	p.take()
	if p.next().is("(") {
		panic(validationError("The expression has redundant parentheses;"))
	}
	term = p.updateOperand()
	if operator := p.next(); operator.is("+") || operator.is("-") {
		term, isSum = p.sum(term), true
	}
	p.expect(")")
	return term, isSum
}

// sum parses the operator and the right side of a sum.
func (p *parser) sum(left expression) expression {
	operator := p.take()
	right := p.updateOperand()
	checkConstant(operator.text, kindNumber, left, right)
	return sum{left, right, operator.is("-")}
}

// updateOperand parses an operand, which may be in brackets.
func (p *parser) updateOperand() expression {
	switch {
	case p.accept("("):
		if p.next().is("(") {
			panic(validationError("The expression has redundant parentheses;"))
		}
		inner := p.updateOperand()
		p.expect(")")
		return inner
	case p.next().kind == tokenValue:
		return reference{constant{p.value()}}
	case p.isCall():
		return p.updateFunction()
	}
	return reference{p.path()}
}

func (p *parser) updateFunction() expression {
	name := p.take().text
	if name != "if_not_exists" && name != "list_append" {
		panic(validationError("Invalid function name; function: %s", name))
	}
	p.expect("(")
	arguments := list(p, p.updateOperand)
	p.expect(")")
	if len(arguments) != 2 {
		panic(validationError("Incorrect number of operands for operator or function; operator or function: %s, number of "+
			"operands: %d", name, len(arguments)))
	}
	if name == "list_append" {
		checkConstant(name, kindList, arguments...)
		return listAppend{arguments[0], arguments[1]}
	}
	if first, ok := arguments[0].(reference); ok {
		if where, ok := first.operand.(path); ok {
			return ifNotExists{where, arguments[1]}
		}
	}
	panic(validationError("Operator or function requires a document path; operator or function: %s", name))
}

// checkConstant refuses constants of a type that the operator or function does not accept.
func checkConstant(operator string, want kind, operands ...expression) {
	for _, o := range operands {
		if r, ok := o.(reference); ok {
			checkKind(operator, r.operand, want)
		}
	}
}

// change parses an element of ADD, which takes a number or a set, or of DELETE, which takes a set.
func (p *parser) change(section string) change {
	c := change{p.path(), p.value()}
	if c.value.isSet() || section == "ADD" && c.value.kind == kindNumber {
		return c
	}
	panic(validationError("Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: "+
		"ALLOWED_FOR_%s_OPERAND",
		section, kindNames[c.value.kind], section))
}

// kindNames maps types to their names in AWS's messages about ADD and DELETE.
var kindNames = map[kind]string{
	kindString: "STRING", kindNumber: "NUMBER", kindBinary: "BINARY", kindBoolean: "BOOLEAN", kindNull: "NULL",
	kindList: "LIST", kindMap: "MAP",
}
