package registry

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Page is page.
type Page = page

// DecodePage is decodePage.
func DecodePage(data []byte) (Page, bool) { return decodePage(data) }

// PageOf is pageOf.
func PageOf(out *dynamodb.ScanOutput) (Page, error) { return pageOf(out) }

// EqualPages reports whether the pages have the same content.
func EqualPages(a, b Page) bool { return slices.Equal(a.rows, b.rows) && a.next == b.next }
