package dynamodb

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// Limits of a transaction (API reference, TransactWriteItems).
const (
	maxTransaction     = 100
	maxTransactionSize = 4 << 20
	maxToken           = 36               // characters of a ClientRequestToken
	tokenLife          = 10 * time.Minute // for which a token makes a transaction idempotent
	maxTokens          = 100_000          // stored at once; a limit of this package, beyond which the oldest is dropped
)

// transactWriteItems executes TransactWriteItems.
func (c *call) transactWriteItems() ([]byte, error) {
	consumed := c.consumption()
	consumed.kind = "WriteCapacityUnits"
	c.choice("ReturnItemCollectionMetrics", "NONE SIZE")
	token := c.text("ClientRequestToken")
	actions := c.objects("TransactItems")
	switch {
	case c.failure != nil:
		return nil, c.failure
	case len(token) > maxToken:
		return nil, validationError("1 validation error detected: Value '%s' at 'clientRequestToken' failed to satisfy "+
			"constraint: Member must have length less than or equal to %d", token, maxToken)
	case len(actions) == 0:
		return nil, validationError(tooFewForLength, "transactItems")
	case len(actions) > maxTransaction:
		return nil, validationError(tooManyForLength, "transactItems", maxTransaction)
	}
	mutations, err := c.parseTransaction(actions)
	if err != nil {
		return nil, err
	}
	run := func() ([]byte, error) {
		before, after, errs := writeAll(mutations)
		if errs != nil {
			return nil, canceled(errs)
		}
		for i, m := range mutations {
			consumed.add(m.table, 2*writeUnits(before[i], after[i]))
		}
		var a answer
		consumed.write(&a, true)
		return a.end(), nil
	}
	if token == "" {
		return run()
	}
	return c.server.recent.once(c.server.options.Clock.Now(), token, c.fingerprint(), run)
}

func (c *call) parseTransaction(actions []*members) ([]*mutation, error) {
	var mutations []*mutation
	seen := make(map[string]bool)
	size := 0
	for _, action := range actions {
		m, err := c.parseAction(action)
		if err != nil {
			return nil, err
		}
		if row := m.table.name + "/" + m.rowKey; seen[row] {
			return nil, validationError("Transaction request cannot include multiple operations on one item")
		} else {
			seen[row] = true
		}
		size += m.size
		mutations = append(mutations, m)
	}
	if size > maxTransactionSize {
		return nil, validationError("Transaction payload size cannot exceed 4MB. Payload Size: %d", size)
	}
	return mutations, nil
}

// Parameters of all actions of a transaction, and the names of the actions.
const (
	conditionParameters = "ConditionExpression ExpressionAttributeNames ExpressionAttributeValues " +
		"ReturnValuesOnConditionCheckFailure TableName "
	actionNames = "Put Update Delete ConditionCheck"
)

// parseAction parses one action of a transaction.
func (c *call) parseAction(m *members) (*mutation, error) {
	if err := m.allow("a TransactWriteItem", actionNames, ""); err != nil {
		return nil, err
	}
	var name string
	for candidate := range strings.FieldsSeq(actionNames) {
		if m.has(candidate) {
			if name != "" {
				return nil, validationError("TransactItems can only contain one of Check, Put, Update or Delete")
			}
			name = candidate
		}
	}
	if name == "" {
		return nil, validationError("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
	}
	action := m.object(name)
	if m.failure != nil {
		return nil, m.failure
	}
	extra := map[string]string{"Put": "Item", "Update": "Key UpdateExpression", "Delete": "Key",
		"ConditionCheck": "Key"}[name]
	if err := action.allow(name, conditionParameters+extra, ""); err != nil {
		return nil, err
	}
	ph := action.placeholders()
	var parsed *mutation
	var err error
	switch name {
	case "Put":
		parsed, err = c.parsePut(action, ph)
	case "Update":
		action.required("UpdateExpression")
		parsed, _, err = c.parseUpdate(action, ph)
	case "Delete":
		parsed, err = c.parseDelete(action, ph)
	default:
		parsed, err = c.parseCheck(action, ph)
	}
	if err == nil {
		err = ph.checkUsed()
	}
	if err := action.first(err); err != nil {
		return nil, err
	}
	parsed.size = action.item("Item").size() + action.item("Key").size()
	for _, v := range ph.values {
		parsed.size += v.size()
	}
	return parsed, nil
}

// reasonCodes maps the codes of failures to those in CancellationReasons.
var reasonCodes = map[string]string{
	"ConditionalCheckFailedException": "ConditionalCheckFailed",
	"ValidationException":             "ValidationError",
}

// canceled returns the error of a transaction of which some actions failed.
func canceled(errs []error) error {
	codes := make([]string, len(errs))
	reasons := []byte(`,"CancellationReasons":[`)
	for i, err := range errs {
		if i > 0 {
			reasons = append(reasons, ',')
		}
		var a answer
		a.member("Code")
		var f *failure
		if !errors.As(err, &f) {
			codes[i] = "None"
			a.text = appendString(a.text, codes[i])
			reasons = append(reasons, a.end()...)
			continue
		}
		if codes[i] = reasonCodes[f.code()]; codes[i] == "" {
			return err // not caused by an action
		}
		a.text = appendString(a.text, codes[i])
		a.member("Message")
		a.text = appendString(a.text, f.message)
		a.text = append(a.text, f.members...)
		reasons = append(reasons, a.end()...)
	}
	f := serviceError("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for "+
		"specific reasons [%s]", strings.Join(codes, ", "))
	f.members = string(append(reasons, ']'))
	return f
}

// recentTransactions stores the answers of transactions with a token for ten minutes, so that a repeated transaction is
// answered without being executed. The zero value is ready for use.
type recentTransactions struct {
	mu   sync.Mutex
	done map[string]*transaction
	old  []*transaction // the oldest first
}

type transaction struct {
	mu          sync.Mutex // held during execution
	token       string
	fingerprint [sha256.Size]byte
	since       time.Time
	answer      []byte // nil until the transaction has succeeded
}

// once executes a transaction, or returns the answer of an earlier one with this token.
func (r *recentTransactions) once(now time.Time, token string, fingerprint [sha256.Size]byte,
	run func() ([]byte, error)) ([]byte, error) {
	r.mu.Lock()
	for len(r.old) > 0 && (now.Sub(r.old[0].since) > tokenLife || len(r.old) > maxTokens) {
		delete(r.done, r.old[0].token)
		r.old = r.old[1:]
	}
	tx := r.done[token]
	if tx == nil {
		tx = &transaction{token: token, fingerprint: fingerprint, since: now}
		if r.done == nil {
			r.done = make(map[string]*transaction)
		}
		r.done[token] = tx
		r.old = append(r.old, tx)
	}
	r.mu.Unlock()

	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.answer != nil {
		if tx.fingerprint != fingerprint {
			return nil, serviceError("IdempotentParameterMismatchException",
				"The client request token was used with other parameters")
		}
		return tx.answer, nil
	}
	answer, err := run()
	if err == nil {
		tx.answer, tx.fingerprint = answer, fingerprint
	}
	return answer, err
}

// fingerprint returns a hash of the transaction. The order of members does not change it.
func (c *call) fingerprint() [sha256.Size]byte {
	text, err := json.Marshal(c.values["TransactItems"])
	if err != nil {
		panic("dynamodb: cannot encode decoded JSON: " + err.Error())
	}
	return sha256.Sum256(text)
}
