package template

import "fanfare/local/template/internal/tree"

// Problem is one thing in a template that cannot be read, is wrong on AWS, or is not emulated. Its fields are File,
// Line, Column, Resource, Property and Message; its error text is "file:line:column: resource: property: message".
type Problem = tree.Problem

// Problems is the error of Load: everything wrong with a template, in the order of its lines. Each one is a [Problem].
type Problems = tree.Problems
