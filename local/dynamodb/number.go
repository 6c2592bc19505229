package dynamodb

import (
	"cmp"
	"math/big"
	"strings"
)

// Limits of a number (developer guide, "Supported data types"): up to 38 digits, magnitudes from 1E-130 to
// 9.99...E+125, and zero.
const (
	maxDigits   = 38
	maxExponent = 126  // of 0.digits × 10^exponent, so of 9.9E+125
	minExponent = -129 // of 1E-130
)

// decimal is a DynamoDB number in normal form: 0.digits × 10^exponent, where digits has no leading or trailing zeros.
// Zero has no digits and the exponent 0.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal parses a number: digits with an optional sign, point and exponent.
func parseDecimal(text string) (decimal, error) {
	if text == "" {
		return decimal{}, validationError("The parameter cannot be converted to a numeric value")
	}
	rest, negative := text, false
	if rest[0] == '-' || rest[0] == '+' {
		rest, negative = rest[1:], rest[0] == '-'
	}
	whole, rest := splitDigits(rest)
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		fraction, rest = splitDigits(rest[1:])
	}
	if whole == "" && fraction == "" {
		return decimal{}, notANumber(text)
	}
	exponent := 0
	if rest != "" {
		var ok bool
		if exponent, ok = parseExponent(rest); !ok {
			return decimal{}, notANumber(text)
		}
	}
	exponent += len(whole)
	digits := whole + fraction
	trimmed := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	digits = strings.TrimRight(trimmed, "0")
	if digits == "" {
		return decimal{}, nil
	}
	switch {
	case exponent > maxExponent:
		return decimal{}, validationError("Number overflow. Attempting to store a number with magnitude larger than " +
			"supported range")
	case exponent < minExponent:
		return decimal{}, validationError("Number underflow. Attempting to store a number with magnitude smaller than " +
			"supported range")
	case len(digits) > maxDigits:
		return decimal{}, validationError("Attempting to store more than 38 significant digits in a Number")
	}
	return decimal{negative, digits, exponent}, nil
}

func notANumber(text string) *failure {
	return validationError("The parameter cannot be converted to a numeric value: %s", text)
}

func splitDigits(text string) (digits, rest string) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return text[:n], text[n:]
}

// parseExponent parses "e12", "E-3" or "e+4". It saturates far beyond the largest magnitude.
func parseExponent(text string) (exponent int, ok bool) {
	if text[0] != 'e' && text[0] != 'E' {
		return 0, false
	}
	text = text[1:]
	sign := 1
	if text != "" && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	digits, rest := splitDigits(text)
	if digits == "" || rest != "" {
		return 0, false
	}
	for _, digit := range digits {
		exponent = min(exponent*10+int(digit-'0'), 1_000_000_000)
	}
	return sign * exponent, true
}

// mustDecimal parses a number in normal form. It panics if the number is malformed.
func mustDecimal(text string) decimal {
	d, err := parseDecimal(text)
	if err != nil {
		panic("dynamodb: stored number is malformed: " + text)
	}
	return d
}

// String returns the number in DynamoDB's format: plain notation, without an exponent.
func (d decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	var text strings.Builder
	if d.negative {
		text.WriteByte('-')
	}
	switch {
	case d.exponent <= 0:
		text.WriteString("0.")
		text.WriteString(strings.Repeat("0", -d.exponent))
		text.WriteString(d.digits)
	case d.exponent >= len(d.digits):
		text.WriteString(d.digits)
		text.WriteString(strings.Repeat("0", d.exponent-len(d.digits)))
	default:
		text.WriteString(d.digits[:d.exponent])
		text.WriteByte('.')
		text.WriteString(d.digits[d.exponent:])
	}
	return text.String()
}

// compareNumbers compares two numbers in the format of String without parsing them.
func compareNumbers(a, b string) int {
	negativeA, negativeB := a[0] == '-', b[0] == '-'
	switch {
	case negativeA && negativeB:
		return compareMagnitudes(b[1:], a[1:])
	case negativeA:
		return -1
	case negativeB:
		return 1
	}
	return compareMagnitudes(a, b)
}

func compareMagnitudes(a, b string) int {
	// The normal form has no superfluous zeros. The number with more digits before the point is larger; with equally many
	// digits, the texts compare like the numbers.
	return cmp.Or(cmp.Compare(wholeDigits(a), wholeDigits(b)), strings.Compare(a, b))
}

func wholeDigits(text string) int {
	digits, _ := splitDigits(text)
	return len(digits)
}

// add returns d + other, or d - other if subtract is set. It fails if the result is not a DynamoDB number.
func (d decimal) add(other decimal, subtract bool) (decimal, error) {
	scale := min(d.exponent-len(d.digits), other.exponent-len(other.digits))
	sum, addend := d.scaled(scale), other.scaled(scale)
	if subtract {
		addend.Neg(addend)
	}
	sum.Add(sum, addend)
	if sum.Sign() == 0 {
		return decimal{}, nil
	}
	negative := sum.Sign() < 0
	digits := sum.Abs(sum).String()
	total := decimal{negative, strings.TrimRight(digits, "0"), len(digits) + scale}
	return parseDecimal(total.String())
}

// scaled returns the number in units of 10^scale.
func (d decimal) scaled(scale int) *big.Int {
	count := new(big.Int)
	if d.digits == "" {
		return count
	}
	count.SetString(d.digits, 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.exponent-len(d.digits)-scale)), nil)
	count.Mul(count, power)
	if d.negative {
		count.Neg(count)
	}
	return count
}

// size returns the size of the number in an item, in bytes: about one for two digits, and one more (developer guide,
// "DynamoDB item sizes and formats"). Pairs of digits are aligned at the decimal point, and a negative number needs one
// byte more.
func (d decimal) size() int {
	if d.digits == "" {
		return 1
	}
	digits := len(d.digits)
	if d.exponent%2 != 0 {
		digits++ // the first pair has only one digit
	}
	size := 1 + (digits+1)/2
	if d.negative {
		size++
	}
	return size
}

// sortable returns bytes that compare like the numbers.
func (d decimal) sortable() string {
	const negative, zero, positive = 0, 1, 2
	if d.digits == "" {
		return string([]byte{zero})
	}
	exponent := d.exponent - minExponent // 0..255
	if !d.negative {
		return string([]byte{positive, byte(exponent)}) + d.digits
	}
	text := make([]byte, 0, len(d.digits)+3)
	text = append(text, negative, byte(255-exponent))
	for i := range len(d.digits) {
		text = append(text, '0'+'9'-d.digits[i])
	}
	return string(append(text, 0xff)) // of two numbers with equal first digits, the longer is smaller
}
