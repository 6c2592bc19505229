// Package apigateway emulates a WebSocket API of Amazon API Gateway: its connections, routes, REQUEST authorizer,
// integrations and @connections management API.
//
// New validates an API as a template describes it; Serve accepts connections on a listener. The WebSocket endpoint is
// ws://host:port/{stage}. The management API is http://host:port/{stage}/@connections/{connectionId}, the URL that AWS
// SDKs build from the endpoint http://host:port/{stage}. With Options.TLS, the same port serves wss:// and https://, so
// that a function can post to "https://" + domainName + "/" + stage, as on AWS.
//
// # As on AWS
//
// The order of a handshake: the authorizer, then $connect, then either 101 or the HTTP status that one of them chose.
// The members of the events that functions receive. Routing. The frames that API Gateway itself sends. The limits on
// frames, messages, idle time and duration. One $disconnect per connection, with code and reason. The responses of the
// management API. Where another source defines a value, the code links to it.
//
// # Approximately
//
//   - The messages of a connection start in order, up to Options.MessagesInFlight at a time, and each is answered when
//     its integration returns. As on AWS, replies may overtake each other; 1 gives strict order. While 16 more messages
//     wait, the connection is not read, so that TCP slows its client down.
//   - The signatures of management requests are not verified, because no secret is known here. Their form, date and
//     scope are checked.
//   - AWS does not publish the size of a client's send buffer. Here it is Options.SendBuffer, in addition to the
//     kernels' buffers.
//   - AWS does not document whether a WebSocket ping counts as activity. Here it is answered and does not count.
//   - No public capture shows these closing codes and reasons: 1001 "Going away" after two hours, 1006 without a reason
//     for a broken connection, and 1009, 1003, 1007 and 1002 as RFC 6455 defines them.
//   - The request line and the values of the headers have at most 10,240 bytes together, as AWS documents for REST
//     APIs. A longer head is answered with 431.
//   - AWS does not document the frame for a throttled message, nor the responses to a path below the stage (403 here)
//     and to an oversized URL (414 here). A refusal by $connect has an empty body, and Sec-WebSocket-Protocol is the
//     only header of $connect's response that is passed on.
//   - On a route with a response, an answer that is not 2xx produces the frame of an internal error, as one user
//     reports.
//   - A message whose body is not valid JSON goes to $default. AWS's parser may be more lenient.
//   - AWS does not document the response to posted bytes that are not UTF-8. Here it is 400 and nothing is sent,
//     because a client must close the connection when it receives such a text frame.
//   - permessage-deflate is never negotiated: an offer of a client is ignored. API Gateway has been seen to answer an
//     offer with an extension of its own, so that a client that offers it is tested on AWS only.
//   - X-Forwarded-Proto is the client's protocol, "http" or "https", and X-Forwarded-Port is the listener's port, not
//     "443".
//
// Quotas, throttles and faults are off unless Options or the API set them.
//
// # Not emulated, and refused by name
//
// HTTP, HTTP_PROXY and AWS integrations, AWS_IAM and JWT authorization, API keys, models, request parameters, mutual
// TLS, custom domains, and all of the template language except plain text, $context.*, $input.body, $input.path and
// $input.json.
package apigateway
