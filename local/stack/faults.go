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

// Faults are the injected faults, by service. The name of a fault is that of the service and of the field, like
// "apigateway.RateExceeded". The types of the fields document the faults. The zero value injects none.
type Faults struct {
	APIGateway apigateway.Faults // of every API of the stack
	SQS        sqs.Faults
	DynamoDB   dynamodb.Faults
	Lambda     lambda.Faults
}

// services returns the structs with the faults, by the name of the service.
func (f *Faults) services() map[string]reflect.Value {
	return map[string]reflect.Value{
		"apigateway": reflect.ValueOf(&f.APIGateway).Elem(),
		"sqs":        reflect.ValueOf(&f.SQS).Elem(),
		"dynamodb":   reflect.ValueOf(&f.DynamoDB).Elem(),
		"lambda":     reflect.ValueOf(&f.Lambda).Elem(),
	}
}

// FaultNames returns the names that Set accepts, sorted.
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

// Set sets a fault by its name, which is not case-sensitive. A rate is a number from 0 to 1, a duration is like 20ms,
// the names of a list are separated by commas, and a seed is a whole number. The name "seed" sets the seeds of all
// services.
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
	return fmt.Errorf("no fault %q; the faults are seed, %s", name, strings.Join(FaultNames(), ", "))
}

// assign parses the value of a fault.
func assign(field reflect.Value, text string) error {
	switch field.Interface().(type) {
	case float64:
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("%q is not a rate from 0 to 1", text)
		}
		field.SetFloat(rate)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > maxDelay {
			return fmt.Errorf("%q is not a duration like 20ms or 1.5s of at most %v", text, maxDelay)
		}
		field.SetInt(int64(d))
	case uint64:
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
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

// Settings returns the faults that are not zero, by name, with values for Set.
func (f *Faults) Settings() map[string]string {
	settings := make(map[string]string)
	for service, fields := range f.services() {
		for i := range fields.NumField() {
			if field := fields.Field(i); !field.IsZero() {
				settings[service+"."+fields.Type().Field(i).Name] = format(field)
			}
		}
	}
	return settings
}

// format returns the value of a fault for Set.
func format(field reflect.Value) string {
	switch value := field.Interface().(type) {
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64)
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// clone returns a deep copy.
func (f Faults) clone() Faults {
	f.SQS.Queues, f.SQS.Operations = slices.Clone(f.SQS.Queues), slices.Clone(f.SQS.Operations)
	f.DynamoDB.Operations, f.Lambda.Functions = slices.Clone(f.DynamoDB.Operations), slices.Clone(f.Lambda.Functions)
	return f
}

// Faults returns the current faults.
func (s *Stack) Faults() Faults {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	return s.faults.clone()
}

// SetFaults replaces all faults. In a service whose faults change, the sequence of its seed starts again. Queues and
// functions may have their logical ids, too. After an error the faults are unchanged.
func (s *Stack) SetFaults(f Faults) error {
	return s.changeFaults(func(now *Faults) error {
		*now = f.clone()
		return nil
	})
}

// changeFaults applies a change to the faults.
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

// resolveNames replaces logical ids by physical names. Other names are an error.
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
			errs = append(errs, fmt.Errorf("fault sqs.Operations: %q is not one of %s", name,
				strings.Join(sqs.Operations(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// apply sets the faults of the services whose faults differ from before.
func (s *Stack) apply(before, f Faults) error {
	var errs []error
	if f.APIGateway != before.APIGateway {
		for _, api := range s.apis {
			errs = append(errs, api.SetFaults(s.withLatency(f.APIGateway)))
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
