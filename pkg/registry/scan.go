package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// page is the content of one response to a Scan.
type page struct {
	rows []row
	next string // the key of the last row, empty at the end of the segment
}

// scan makes the Scan and decodes the response: itself if it is of the expected form, otherwise with the SDK. The SDK
// decodes each attribute into several maps and values, which costs most of the CPU of a page.
func (t *Table) scan(ctx context.Context, in *dynamodb.ScanInput) (page, error) {
	var d pageDecoder
	out, err := t.Client.Scan(ctx, in, func(o *dynamodb.Options) {
		o.APIOptions = append(slices.Clip(o.APIOptions), func(stack *middleware.Stack) error {
			return stack.Deserialize.Insert(&d, "OperationDeserializer", middleware.After)
		})
	})
	switch {
	case err != nil:
		return page{}, err
	case d.decoded:
		return d.page, nil
	default:
		return pageOf(out)
	}
}

// pageDecoder is a middleware of one Scan. If it can decode the response, it leaves an empty object to the SDK.
type pageDecoder struct {
	page    page
	decoded bool
}

// ID returns the name of the middleware.
func (*pageDecoder) ID() string { return "DecodePage" }

// HandleDeserialize calls next and decodes its response.
func (d *pageDecoder) HandleDeserialize(
	ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
) (middleware.DeserializeOutput, middleware.Metadata, error) {
	d.page, d.decoded = page{}, false // of an earlier attempt
	out, metadata, err := next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || response.StatusCode != http.StatusOK {
		return out, metadata, err
	}
	var body bytes.Buffer
	if n := response.ContentLength; n > 0 && n <= 2<<20 {
		body.Grow(int(n) + bytes.MinRead)
	}
	_, readErr := body.ReadFrom(response.Body)
	if readErr == nil {
		d.page, d.decoded = decodePage(body.Bytes())
	}
	rest := io.MultiReader(&body, failing{readErr})
	if d.decoded {
		rest = bytes.NewReader([]byte("{}"))
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{rest, response.Body}
	return out, metadata, nil
}

// failing reads nothing and returns err, or io.EOF if there is none.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// decodePage decodes a response in the form in which DynamoDB writes it: no white space, the known members once each,
// strings of printable ASCII without escapes, whole numbers. It reports false for everything else.
func decodePage(data []byte) (p page, ok bool) {
	s := scanner{rest: data}
	var seen uint
	s.object(func(name []byte) {
		switch string(name) {
		case "Count":
			s.once(&seen, 1)
			s.digits()
		case "ScannedCount":
			s.once(&seen, 2)
			s.digits()
		case "Items":
			s.once(&seen, 4)
			s.expect('[')
			if s.next(']') {
				return
			}
			for !s.failed {
				p.rows = append(p.rows, s.row())
				if s.next(']') {
					return
				}
				s.expect(',')
			}
		case "LastEvaluatedKey":
			s.once(&seen, 8)
			s.expect('{')
			s.failed = s.failed || string(s.text()) != "connectionId"
			s.expect(':')
			p.next = string(s.value('S'))
			s.expect('}')
		default:
			s.failed = true
		}
	})
	if s.failed || len(s.rest) > 0 || seen&4 == 0 || seen&8 != 0 && p.next == "" {
		return page{}, false
	}
	return p, true
}

// scanner reads JSON. After something unexpected it has failed, and its results mean nothing.
type scanner struct {
	rest   []byte
	failed bool
}

// next skips c and reports whether c was next.
func (s *scanner) next(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) expect(c byte) { s.failed = !s.next(c) || s.failed }

// once fails if the bit of a member is set already, and sets it.
func (s *scanner) once(seen *uint, bit uint) {
	s.failed = s.failed || *seen&bit != 0
	*seen |= bit
}

// object reads an object with at least one member. member reads the value of a member.
func (s *scanner) object(member func(name []byte)) {
	s.expect('{')
	for !s.failed {
		name := s.text()
		s.expect(':')
		member(name)
		if s.next('}') {
			return
		}
		s.expect(',')
	}
}

// text reads a string.
func (s *scanner) text() []byte {
	s.expect('"')
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			s.failed = true
			return nil
		}
	}
	s.failed = true
	return nil
}

// digits reads a whole number without a sign and without leading zeros.
func (s *scanner) digits() {
	n := 0
	for n < len(s.rest) && '0' <= s.rest[n] && s.rest[n] <= '9' {
		n++
	}
	s.failed = s.failed || n == 0 || n > 9 || n > 1 && s.rest[0] == '0'
	s.rest = s.rest[n:]
}

// value reads the value of an attribute of the type.
func (s *scanner) value(attributeType byte) []byte {
	s.expect('{')
	name := s.text()
	s.failed = s.failed || len(name) != 1 || name[0] != attributeType
	s.expect(':')
	value := s.text()
	s.expect('}')
	return value
}

func (s *scanner) row() (r row) {
	var seen uint
	s.object(func(name []byte) {
		switch string(name) {
		case "connectionId":
			s.once(&seen, 1)
			r.ConnectionID = string(s.value('S'))
		case "connectedAt":
			s.once(&seen, 2)
			r.ConnectedAt = s.number()
		case "expiresAt":
			s.once(&seen, 4)
			r.ExpiresAt = s.number()
		case "goneAt":
			s.once(&seen, 8)
			r.GoneAt = s.number()
		default:
			s.failed = true
		}
	})
	s.failed = s.failed || seen&7 != 7
	return r
}

// number reads an attribute of the type N.
func (s *scanner) number() int64 {
	n, err := strconv.ParseInt(string(s.value('N')), 10, 64)
	s.failed = s.failed || err != nil
	return n
}
