//go:build !linux

package client

import "errors"

const pollable = false

var errNoPoller = errors.New("no epoll on this system")

func newPoller(*Shard) (loop, error) { return nil, errNoPoller }

func writeSome(int, []byte) (int, error) { return 0, errNoPoller }
