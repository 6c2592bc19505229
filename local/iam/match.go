package iam

import "strings"

// Match reports whether a text matches a pattern. In the pattern * matches any characters and ? any single character.
func Match(pattern, text string) bool {
	return match(pattern, text, func(int) bool { return true })
}

// MatchARN reports whether an ARN matches a pattern of a Resource element. A * at the end of a segment of the pattern
// matches colons, too; segments are separated by colons. Any other wildcard matches no colon. A pattern with fewer
// segments than an ARN is completed with wildcards.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func MatchARN(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	if missing := arnSegments - 1 - strings.Count(pattern, ":"); missing > 0 {
		pattern += strings.Repeat(":*", missing)
	}
	return match(pattern, arn, func(i int) bool {
		return pattern[i] == '*' && (i+1 == len(pattern) || pattern[i+1] == ':')
	})
}

// MatchSegments reports whether an ARN matches a pattern of the condition operator ArnLike. Each of the six segments is
// matched separately, so that no wildcard matches one of the first five colons.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
func MatchSegments(pattern, arn string) bool {
	patterns := strings.SplitN(pattern, ":", arnSegments)
	texts := strings.SplitN(arn, ":", arnSegments)
	if len(patterns) != arnSegments || len(texts) != arnSegments {
		return pattern == "*"
	}
	for i := range patterns {
		if !Match(patterns[i], texts[i]) {
			return false
		}
	}
	return true
}

// arnSegments is the number of segments of an ARN, separated by colons. The last segment may contain colons.
const arnSegments = 6

// match follows all positions of the pattern that the text read so far can reach, so its time is bounded by the product
// of both lengths. colon reports whether the wildcard at an index matches a colon.
func match(pattern, text string, colon func(int) bool) bool {
	first := strings.IndexAny(pattern, "*?")
	if first < 0 {
		return pattern == text
	}
	if len(text) < first || pattern[:first] != text[:first] {
		return false
	}
	if pattern[first:] == "*" && colon(first) {
		return true
	}
	var buffer [2][256]bool
	reached, next := buffer[0][:], buffer[1][:]
	if len(pattern) >= len(reached) {
		reached, next = make([]bool, len(pattern)+1), make([]bool, len(pattern)+1)
	}
	reach(reached, pattern, first)
	for t := first; t < len(text); t++ {
		clear(next[:len(pattern)+1])
		for p := first; p < len(pattern); p++ {
			if !reached[p] {
				continue
			}
			switch wildcard := pattern[p] == '*' || pattern[p] == '?'; {
			case wildcard && text[t] == ':' && !colon(p):
			case pattern[p] == '*':
				reach(next, pattern, p)
			case wildcard || pattern[p] == text[t]:
				reach(next, pattern, p+1)
			}
		}
		reached, next = next, reached
	}
	return reached[len(pattern)]
}

// reach marks a position of the pattern and the positions after stars at that place, because a star matches no
// characters, too.
func reach(positions []bool, pattern string, p int) {
	positions[p] = true
	for ; p < len(pattern) && pattern[p] == '*'; p++ {
		positions[p+1] = true
	}
}
