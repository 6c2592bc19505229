package stack

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"fanfare/local/awsapi"
)

// Protocols of AWS's services: the way of a request, and the form in which its SDK reads an error.
// https://smithy.io/2.0/aws/protocols/index.html
const (
	protocolJSON     = "AWS JSON"
	protocolQuery    = "AWS query"
	protocolEC2      = "EC2 query"
	protocolCBOR     = "RPC v2 CBOR"
	protocolRESTXML  = "REST XML"
	protocolRESTJSON = "REST JSON"
)

// Refused is a request to a service or with a protocol that is not emulated.
type Refused struct {
	// Service is the name of the service in the request's signature, such as sns, or in X-Amz-Target. It is empty if the
	// request has neither.
	Service string
	// Operation is the operation's name or, with the REST protocols, the method and path.
	Operation string
	// Protocol is the protocol of the request.
	Protocol string
}

func (r Refused) String() string {
	return fmt.Sprintf("%s, service %s: %s is not emulated: only SQS, DynamoDB and Secrets Manager's GetSecretValue are, "+
		"with AWS JSON", r.Protocol, cmp.Or(r.Service, "unknown"), r.Operation)
}

// restXML are the services that speak REST XML.
var restXML = map[string]bool{"s3": true, "route53": true, "cloudfront": true}

// refused returns what a request asked for.
func refused(r *http.Request) Refused {
	out := Refused{Service: signedService(r), Operation: r.Method + " " + r.URL.Path, Protocol: protocolRESTJSON}
	target, operation, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	switch {
	case isJSON:
		out.Protocol, out.Operation, out.Service = protocolJSON, operation, cmp.Or(out.Service, target)
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		out.Protocol, out.Operation = protocolCBOR, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	case form || r.URL.Query().Has("Action"):
		r.Body = http.MaxBytesReader(nil, r.Body, maxControl)
		out.Protocol, out.Operation = protocolQuery, cmp.Or(r.FormValue("Action"), "a form")
		if out.Service == "ec2" {
			out.Protocol = protocolEC2
		}
	case restXML[out.Service]:
		out.Protocol = protocolRESTXML
	}
	return out
}

// signedService returns the service in the credential scope of a signature, or "".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func signedService(r *http.Request) string {
	_, credential, found := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !found {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	credential, _, _ = strings.Cut(credential, ",")
	if scope := strings.Split(credential, "/"); len(scope) == 5 {
		return scope[3]
	}
	return ""
}

// refusalCode is the error code of every refusal.
const refusalCode = "UnsupportedOperation"

// refuse answers in the form that the SDK of the service reads, with a status that it does not retry.
func (r Refused) refuse(w http.ResponseWriter) {
	requestID := awsapi.NewUUID()
	w.Header().Set("X-Amzn-Requestid", requestID)
	text := r.String()
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a bytes.Buffer returns no errors
	fault := "<Code>" + refusalCode + "</Code><Message>" + escaped.String() + "</Message>"
	const namespace = `xmlns="http://webservices.amazon.com/AWSFault/2005-15-09"`
	contentType, body := "text/xml", ""
	switch r.Protocol {
	case protocolQuery:
		body = "<ErrorResponse " + namespace + "><Error><Type>Sender</Type>" + fault + "</Error><RequestId>" + requestID +
			"</RequestId></ErrorResponse>"
	case protocolEC2:
		body = "<Response><Errors><Error>" + fault + "</Error></Errors><RequestID>" + requestID + "</RequestID></Response>"
	case protocolRESTXML:
		body = "<Error>" + fault + "<RequestId>" + requestID + "</RequestId></Error>"
		if r.Service != "s3" {
			body = "<ErrorResponse><Error><Type>Sender</Type>" + fault + "</Error><RequestId>" + requestID +
				"</RequestId></ErrorResponse>"
		}
	case protocolCBOR:
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		contentType = "application/cbor"
		body = "\xa2" + cborText("__type") + cborText(refusalCode) + cborText("message") + cborText(text)
	default:
		w.Header().Set("X-Amzn-Errortype", refusalCode)
		contentType, body = awsapi.JSON11, string(awsapi.ErrorBody(refusalCode, "message", text))
	}
	awsapi.WriteJSON(w, contentType, http.StatusBadRequest, []byte(body))
}

// cborText encodes a text of at most 65,535 bytes in CBOR (RFC 8949, section 3.1, major type 3).
func cborText(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), 1<<16-1)], "?")
	return "\x79" + string([]byte{byte(len(text) >> 8), byte(len(text))}) + text
}
