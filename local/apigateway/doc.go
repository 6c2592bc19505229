// Package apigateway is one WebSocket API of Amazon API Gateway, as its clients and its backends see it: the sockets,
// the routes, the REQUEST authorizer, the integrations and the @connections management API.
//
// Start with New, which takes the API as a template describes it, then Serve a listener. The WebSocket endpoint is
// ws://host:port/{stage}; the management API is http://host:port/{stage}/@connections/{connectionId}, the same URL that
// an AWS SDK makes of the endpoint http://host:port/{stage}.
//
// # Faithful
//
// The order of a handshake (authorizer, $connect, then 101 or their verdict as the HTTP status); the events that
// functions get, key for key; routing; the frames that API Gateway itself sends; the limits on frames, messages,
// idleness and duration; $disconnect exactly once per connection, with code and reason; the answers of the management
// API. What a source outside this package decides is named beside the constant or the code.
//
// # Approximate
//
//   - Messages of one connection are taken up in the order they came, up to Options.MessagesInFlight at a time, and
//     each is answered when its integration returns: as on AWS, replies may overtake each other. Set it to 1 for strict
//     order. Beyond what may wait (see maxWaiting) the connection is not read, so that its client feels TCP's
//     back-pressure.
//   - Signatures of management requests are not verified (no secret is known here); their form, date and scope are.
//   - AWS does not publish the size of a client's send buffer; here it is Options.SendBuffer, beyond what the kernels hold.
//   - Whether a WebSocket ping counts as activity is not documented; here it is answered and does not count.
//   - The codes and reasons of closings that no public capture shows: 1001 "Going away" at two hours, 1006 without a
//     reason for a connection that broke, 1009, 1003, 1007 and 1002 as RFC 6455 asks.
//   - The frame for a throttled message, and the answers to a path below the stage (403) and to a URL that is too long
//     (414), are not documented either. A refusal by $connect has an empty body, and of the headers of its answer only
//     Sec-WebSocket-Protocol is passed on.
//   - On a route with a response, an answer that is not 2xx becomes the frame of an internal error, as one user reports.
//   - A message whose body is not quite JSON goes to $default; AWS's parser may be more lenient than that.
//   - Posted bytes become a text message even if they are not UTF-8.
//   - permessage-deflate is never negotiated.
//   - X-Forwarded-Proto and X-Forwarded-Port tell the truth ("http" and the listener's port), not "https" and "443".
//
// Quotas, throttles and faults are off unless Options or the API ask for them.
//
// # Missing
//
// HTTP, HTTP_PROXY and AWS integrations, AWS_IAM and JWT authorization, API keys, models, request parameters, mutual
// TLS, custom domains, and every part of the template language beyond plain text, $context.*, $input.body,
// $input.path and $input.json. New refuses them by name.
package apigateway
