package lambda

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// maxLineage is the number of earlier turns of a function in one chain of requests from which on it is no longer
// invoked. Source: docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html ("approximately 16").
const maxLineage = 16

// traceHeader returns the tracing header of an invocation of the function with this ARN: the caller's, with missing
// fields generated and the function's turn counted in its Lineage field. It also returns the number of the function's
// earlier turns.
//
// Format: docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader. Lineage follows
// captures ("Lineage=1:36680206:0"): a version, then hash:turns of each function. Only Lambda reads it.
func traceHeader(header, functionARN string, sampled bool) (string, int) {
	fields := map[string]string{}
	var extra []string
	for field := range strings.SplitSeq(header, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !ok:
		case name == "Root" || name == "Parent" || name == "Sampled" || name == "Lineage":
			fields[name] = value
		default:
			extra = append(extra, name+"="+value)
		}
	}
	if fields["Root"] == "" {
		fields["Root"] = fmt.Sprintf("1-%08x-%08x%016x", time.Now().Unix(), rand.Uint32(), rand.Uint64())
	}
	if fields["Parent"] == "" {
		fields["Parent"] = fmt.Sprintf("%016x", rand.Uint64())
	}
	if s := fields["Sampled"]; s != "0" && s != "1" {
		fields["Sampled"] = "0"
		if sampled {
			fields["Sampled"] = "1"
		}
	}
	lineage, turns := countTurn(fields["Lineage"], functionARN)
	out := []string{"Root=" + fields["Root"], "Parent=" + fields["Parent"], "Sampled=" + fields["Sampled"]}
	out = append(append(out, extra...), "Lineage="+lineage)
	return strings.Join(out, ";"), turns
}

// countTurn adds the function's turn to a lineage and returns the number of its earlier turns. It ignores invalid
// entries.
func countTurn(lineage, functionARN string) (string, int) {
	const version = "1:"
	hash := fnv.New32a()
	hash.Write([]byte(functionARN))
	id := fmt.Sprintf("%08x", hash.Sum32())
	out, turns := version, 0
	for entry := range strings.SplitSeq(strings.TrimPrefix(lineage, version), "|") {
		name, count, ok := strings.Cut(entry, ":")
		n, err := strconv.Atoi(count)
		switch {
		case !ok || err != nil || n < 0 || n > 1<<15:
		case name == id:
			turns = n + 1
		default:
			out += entry + "|"
		}
	}
	return out + id + ":" + strconv.Itoa(turns), turns
}
