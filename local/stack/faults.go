package stack

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/dynamodb"
	"fanfare/local/lambda"
	"fanfare/local/sqs"
)

// Faults are what goes wrong on purpose, by service. Their fields are documented where they stand; a fault's name is its
// service's and its field's, "apigateway.RateExceeded". The zero value is none.
type Faults struct {
	APIGateway apigateway.Faults // of every API of the stack
	SQS        sqs.Faults
	DynamoDB   dynamodb.Faults
	Lambda     lambda.Faults
}

// services are the structs that faults stand in, by the service's name.
func (f *Faults) services() map[string]reflect.Value {
	return map[string]reflect.Value{
		"apigateway": reflect.ValueOf(&f.APIGateway).Elem(),
		"sqs":        reflect.ValueOf(&f.SQS).Elem(),
		"dynamodb":   reflect.ValueOf(&f.DynamoDB).Elem(),
		"lambda":     reflect.ValueOf(&f.Lambda).Elem(),
	}
}

// FaultNames returns the names that Set knows, sorted.
func FaultNames() []string {
	var names []string
	for service, fields := range new(Faults).services() {
		for i := range fields.NumField() {
			names = append(names, service+"."+fields.Type().Field(i).Name)
		}
	}
	slices.Sort(names)
	return names
}

// Set sets a fault by its name, without regard to case. Rates are numbers from 0 to 1, durations are written like 20ms,
// lists of names with commas between them; a seed is a whole number. The name "seed" sets the seeds of all services.
func (f *Faults) Set(name, value string) error {
	if strings.EqualFold(name, "seed") {
		for _, fields := range f.services() {
			if err := assign(fields.FieldByName("Seed"), value); err != nil {
				return fmt.Errorf("fault %s: %w", name, err)
			}
		}
		return nil
	}
	service, field, _ := strings.Cut(name, ".")
	fields, ok := f.services()[strings.ToLower(service)]
	if ok {
		found := fields.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, field) })
		if found.IsValid() {
			if err := assign(found, value); err != nil {
				return fmt.Errorf("fault %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no fault %q; there are seed, %s", name, strings.Join(FaultNames(), ", "))
}

// assign reads a fault's value.
func assign(field reflect.Value, text string) error {
	switch field.Interface().(type) {
	case float64:
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("%q is no rate: want a number from 0 to 1", text)
		}
		field.SetFloat(rate)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration: want one like 20ms or 1.5s", text)
		}
		field.SetInt(int64(d))
	case uint64:
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no seed: want a whole number", text)
		}
		field.SetUint(seed)
	case []string:
		var names []string
		if text != "" {
			names = strings.Split(text, ",")
		}
		field.Set(reflect.ValueOf(names))
	default:
		return fmt.Errorf("a %s cannot be set", field.Type())
	}
	return nil
}

// Settings returns the faults that are not zero, by name, as Set takes them.
func (f *Faults) Settings() map[string]string {
	settings := make(map[string]string)
	for service, fields := range f.services() {
		for i := range fields.NumField() {
			if field := fields.Field(i); !field.IsZero() {
				settings[service+"."+fields.Type().Field(i).Name] = print(field)
			}
		}
	}
	return settings
}

func print(field reflect.Value) string {
	switch value := field.Interface().(type) {
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64)
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// clone returns a copy that shares nothing with f.
func (f Faults) clone() Faults {
	f.SQS.Queues, f.SQS.Operations = slices.Clone(f.SQS.Queues), slices.Clone(f.SQS.Operations)
	f.DynamoDB.Operations, f.Lambda.Functions = slices.Clone(f.DynamoDB.Operations), slices.Clone(f.Lambda.Functions)
	return f
}

// Faults returns the present faults.
func (s *Stack) Faults() Faults {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	return s.faults.clone()
}

// SetFaults replaces all faults from now on; in services whose faults change, the sequence that their seed makes begins
// anew. Queues and functions may be named by their logical ids, too. The error says what is impossible; the
// faults are then as they were.
func (s *Stack) SetFaults(f Faults) error {
	return s.changeFaults(func(now *Faults) error {
		*now = f.clone()
		return nil
	})
}

// changeFaults lets change edit the faults, and puts them into force.
func (s *Stack) changeFaults(change func(*Faults) error) error {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	before := s.faults
	f := before.clone()
	if err := change(&f); err != nil {
		return err
	}
	if err := errors.Join(s.resolveNames(&f), s.apply(before, f)); err != nil {
		return errors.Join(err, s.apply(f, before))
	}
	s.faults = f
	return nil
}

// resolveNames puts physical names in the place of logical ids, and refuses what is neither.
func (s *Stack) resolveNames(f *Faults) error {
	queues, functions := make(map[string]string), make(map[string]string)
	for _, q := range s.Resolved.Queues {
		queues[q.LogicalID], queues[q.Name] = q.Name, q.Name
	}
	for _, function := range s.Resolved.Functions {
		functions[function.LogicalID], functions[function.Name] = function.Name, function.Name
	}
	var errs []error
	for _, list := range []struct {
		fault string
		names []string
		known map[string]string
	}{
		{"sqs.Queues", f.SQS.Queues, queues},
		{"lambda.Functions", f.Lambda.Functions, functions},
	} {
		for i, name := range list.names {
			physical, ok := list.known[name]
			if !ok {
				errs = append(errs, fmt.Errorf("fault %s: %q is not in the template", list.fault, name))
				continue
			}
			list.names[i] = physical
		}
	}
	for _, name := range f.SQS.Operations {
		if !slices.Contains(sqs.Operations(), name) {
			errs = append(errs, fmt.Errorf("fault sqs.Operations: %q is not one of %s", name, strings.Join(sqs.Operations(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// apply puts faults into force in the services where they differ from before.
func (s *Stack) apply(before, f Faults) error {
	var errs []error
	if f.APIGateway != before.APIGateway {
		for _, api := range s.apis {
			errs = append(errs, api.SetFaults(s.delayed(f.APIGateway)))
		}
	}
	if !reflect.DeepEqual(f.SQS, before.SQS) {
		s.sqs.SetFaults(f.SQS)
	}
	if !reflect.DeepEqual(f.DynamoDB, before.DynamoDB) {
		errs = append(errs, s.dynamodb.SetFaults(f.DynamoDB))
	}
	if !reflect.DeepEqual(f.Lambda, before.Lambda) {
		errs = append(errs, s.lambda.SetFaults(f.Lambda))
	}
	return errors.Join(errs...)
}
