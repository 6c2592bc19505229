package template

import "fanfare/local/template/internal/tree"

// Problem is a part of a template that cannot be read, that AWS would refuse, or that is not emulated. Its fields are
// File, Line, Column, Resource, Property and Message. Its error text is
// "file:line:column: resource: property: message".
type Problem = tree.Problem

// Problems is the error of [Load]: all problems of a template, in the order of its lines. errors.As finds each
// [Problem].
type Problems = tree.Problems
