package eventsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"fanfare/local/sqs"
)

// split returns the messages that a function's response reports as processed. It returns an error and no messages if
// the response is invalid. For the rules see Mapping.ReportBatchItemFailures.
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
	if len(failed) > 0 { // includes empty and null identifiers
		return nil, errors.New("itemIdentifier is not a message of the batch")
	}
	return done, nil
}

// failures returns the identifiers in a response. It decodes to maps, because encoding/json matches the names of struct
// fields without regard to case.
func failures(response []byte) ([]string, error) {
	if response = bytes.TrimSpace(response); len(response) == 0 {
		return nil, nil
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(response, &document); err != nil {
		return nil, fmt.Errorf("response is not a JSON object: %w", err)
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
			return nil, fmt.Errorf("itemIdentifier is missing or not a string: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
