package access

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Origins is the template's parameter AllowedOrigins: the origins whose pages may connect. ParseOrigins makes it. It
// restricts browsers only: other clients can send any origin. A client that sends no origin is not a browser and is
// allowed.
type Origins []string

// originForm is the form of an origin as browsers send it (RFC 6454, section 6.2), with "*." allowed before the name.
// The parameter's AllowedPattern in template.yaml is the same.
var originForm = regexp.MustCompile(`^(?:\*|null|[A-Za-z][A-Za-z0-9+.-]*://` +
	`(?:(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?)$`)

// ParseOrigins reads a list of origins, separated by commas. An item is an origin like "https://example.com" or
// "http://localhost:8080", or "https://*.example.com" for all names below it, or "null" for pages without an origin,
// or "*" for all. Items become lower case, and default ports are removed, as browsers do it. An item that is not the
// origin of any page is an error that names the item.
func ParseOrigins(list string) (Origins, error) {
	var origins Origins
	for item := range strings.SplitSeq(list, ",") {
		origin, ok := parseOrigin(strings.TrimSpace(item))
		if !ok {
			return nil, fmt.Errorf("parse allowed origins: %q is not of the form scheme://name or scheme://name:port", item)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func parseOrigin(item string) (origin string, ok bool) {
	if !originForm.MatchString(item) {
		return "", false
	}
	scheme, host, found := strings.Cut(strings.ToLower(item), "://")
	if !found {
		return item, true // * or null
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	if _, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16); port != "" && err != nil {
		return "", false
	}
	if port == map[string]string{"http": ":80", "https": ":443"}[scheme] {
		port = ""
	}
	if !hostForm(name) {
		return "", false
	}
	return scheme + "://" + name + port, true
}

// hostForm reports whether browsers write a host so. They write IP addresses in one form only, and take a name whose
// last label is a number for an IPv4 address. Source: WHATWG URL Standard, section 3.5.
func hostForm(name string) bool {
	unbracketed, v6 := strings.CutPrefix(name, "[")
	unbracketed = strings.TrimSuffix(unbracketed, "]")
	last := name[strings.LastIndexByte(name, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err != nil && !v6 {
		return true
	}
	address, err := netip.ParseAddr(unbracketed)
	return err == nil && address.String() == unbracketed
}

// Allow reports whether the handshake's origin may connect.
func (o Origins) Allow(h Handshake) bool {
	for _, origin := range h.values("Origin") {
		covered := func(allowed string) bool { return covers(strings.ToLower(allowed), strings.ToLower(origin)) }
		if !slices.ContainsFunc(o, covered) {
			return false
		}
	}
	return true
}

// covers reports whether an item of the list includes an origin. Both are in lower case.
func covers(allowed, origin string) bool {
	if allowed == "*" || allowed == origin {
		return true
	}
	scheme, domain, ok := strings.Cut(allowed, "*")
	if !ok || !strings.HasPrefix(origin, scheme) || !strings.HasSuffix(origin, domain) ||
		len(origin) <= len(scheme)+len(domain) {
		return false
	}
	return !strings.ContainsAny(origin[len(scheme):len(origin)-len(domain)], "/:@")
}

// maxLoggedOrigin bounds the text that Handshake.Origin returns.
const maxLoggedOrigin = 256

// Origin returns the handshake's origin for a log line. It is cut after 256 bytes, because clients choose it. Several
// origins are separated by commas.
func (h Handshake) Origin() string {
	origin := strings.Join(h.values("Origin"), ", ")
	return strings.ToValidUTF8(origin[:min(len(origin), maxLoggedOrigin)], "\uFFFD")
}
