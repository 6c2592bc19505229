package main

import "github.com/alecthomas/kong"

// help has the texts of flags that are too long for a struct tag; the tags name them as ${name}.
var help = kong.Vars{
	"url":   "WebSocket URL of the system. Default: the repository's local system, started for this run.",
	"queue": "URL of the SQS queue to publish through.",
	"token": "Send this token with each connect; @FILE reads it from a file.",
	"tokensource": "Where to send it, as in the stack's parameter TokenSource: protocol (sub-protocols fanfare.bearer " +
		"and TOKEN), header (Authorization: Bearer TOKEN) or query (access_token=TOKEN).",
	"subprotocol": "Offer this sub-protocol with each connect. May be repeated.",
	"header":      "Send this header with each connect. May be repeated.",

	"ramp":     "Connects per second. API Gateway allows 500 per account.",
	"churn":    "Share of the clients that reconnect per minute, for example 10%.",
	"slow":     "Number of clients that read slowly. Their deliveries are counted separately.",
	"slowrate": "Bytes per second that a slow client reads; 0 reads nothing.",
	"ping": `Interval of each client's keep-alive message ({"action":"ping"}); 0 sends none. API Gateway closes a ` +
		`connection after 10 minutes without traffic.`,
	"connecttimeout": "Time limit of one attempt to connect.",
	"minconnected":   "Start when at least this many clients are connected. Default: all.",

	"publish": "Who publishes: clients, queue or both. Default: queue if --queue-url is set, else clients.",
	"publishers": "Number of publishers; they take turns. Default: enough for two seconds between the messages of " +
		"each publisher.",
	"payloadfile": "Content of the messages instead of padding: JSON is sent as JSON, other text as a JSON string.",
	"deadline": "A delivery after this time is late. The run ends when everything has arrived and is answered; else it " +
		"waits this long after the last message, and longer while deliveries still arrive, at most ten times as long. " +
		"Default: 10s plus the time that the posts of one message take at --post-rate beyond --post-burst.",
	"settle": "How long to watch for duplicates after everything has arrived.",

	"processes": "Number of processes. Default: as many as the limit of file descriptors requires.",
	"source":    "Local address to connect from. May be repeated; clients take turns.",
	"streams":   "Read each connection in a goroutine of its own instead of with epoll (always so with wss://).",
	"priority":  "Raise the priority of the harness above that of the system (Linux, as root).",
	"postrate":  "Posts per second that the system may make, for the quota floor.",
	"postburst": "Burst of that quota, in posts.",

	"warmup": "Messages of this first period are counted, but not timed.",
	"ledger": "DynamoDB table with the system's own report, to compare with what the clients received. The stack's " +
		"table is websocket_broadcasts.",
	"ledgerendpoint": "Endpoint of that DynamoDB. Default: that of the local system if one is started, else the host " +
		"of --queue-url, else AWS_ENDPOINT_URL, else AWS.",
	"ledgerwait": "How long to wait, after the last delivery, until the ledger is settled.",
	"others":     "Number of other clients that may be connected and that the ledger may count.",
	"expect":     "Threshold, for example 'p99 < 600ms'; see 'loadtest figures'. May be repeated.",
	"out":        "Write the results to this file. Default: a new file in the system's temporary directory.",
	"profile":    "Write a CPU profile of the harness (of one process).",

	"bound":     "What the system must keep at a rate, besides losing nothing.",
	"precision": "Stop when the highest rate that passed and the lowest that failed are this close.",

	"doctorurl": "Put the relay in front of this server instead of a bare one. The server must acknowledge messages " +
		"and keep their order.",
	"addr":          "Loopback address to listen on; port 0 takes a free port.",
	"echoprocesses": "Number of processes that share the clients; each holds as many as its limit of file descriptors.",

	"before": "Result file of a run, or several repeats, separated by commas.",
	"after":  "Result files to compare with, in the same form.",
	"fail":   "Exit with 1 if any figure is worse by more than the spread, else with 3 if a run is invalid.",
}
