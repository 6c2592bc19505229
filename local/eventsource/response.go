package eventsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"fanfare/local/sqs"
)

// split returns the messages that a function's response says it has dealt with, and an error if it cannot be followed,
// when it has dealt with none. The rules are at Mapping.ReportBatchItemFailures.
// Source: docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, success and failure conditions.
func split(response []byte, messages []sqs.Message) (done []sqs.Message, err error) {
	ids, err := failures(response)
	if err != nil {
		return nil, err
	}
	failed := make(map[string]bool, len(ids))
	for _, id := range ids {
		failed[id] = true
	}
	for _, m := range messages {
		if failed[m.ID] {
			delete(failed, m.ID)
		} else {
			done = append(done, m)
		}
	}
	if len(failed) > 0 { // by one that was not in the batch, or by an empty or null identifier
		return nil, errors.New("an itemIdentifier is not a message of the batch")
	}
	return done, nil
}

// failures returns the identifiers that a response lists. Names are matched exactly, which encoding/json does not do
// for structs.
func failures(response []byte) ([]string, error) {
	if response = bytes.TrimSpace(response); len(response) == 0 {
		return nil, nil
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(response, &document); err != nil {
		return nil, fmt.Errorf("the response is not a JSON object: %w", err)
	}
	var items []map[string]json.RawMessage
	if list, ok := document["batchItemFailures"]; ok {
		if err := json.Unmarshal(list, &items); err != nil {
			return nil, fmt.Errorf("batchItemFailures is not a list of objects: %w", err)
		}
	}
	ids := make([]string, 0, len(items))
	for _, item := range items {
		var id string
		if err := json.Unmarshal(item["itemIdentifier"], &id); err != nil {
			return nil, fmt.Errorf("itemIdentifier is missing or no string: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
