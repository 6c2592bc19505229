package aws_test

import (
	"testing"

	"fanfare/loadtest/aws"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEndpoint_Region(t *testing.T) {
	for url, want := range map[string][2]string{ // endpoint, region
		"https://sqs.eu-west-1.amazonaws.com/123456789012/q":     {"", "eu-west-1"},
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q": {"", "cn-north-1"},
		"wss://abc.execute-api.ap-south-1.amazonaws.com/prod":    {"", "ap-south-1"},
		"http://127.0.0.1:4566/000000000000/websocket-broadcast": {"http://127.0.0.1:4566", ""},
		"http://sqs.us-east-1.localhost.localstack.cloud:4566/0/q": {"http://sqs.us-east-1.localhost.localstack.cloud:4566",
			"us-east-1"},
		"https://sqs.amazonaws.com/123456789012/q": {"", ""},
		"https://sqs.eu-west-1.amazonaws.com.example.org/1/q": {"https://sqs.eu-west-1.amazonaws.com.example.org",
			"eu-west-1"},
		"":                        {"", ""},
		"http://%zz":              {"", ""},
		"https://amazonaws.com/q": {"https://amazonaws.com", ""},
	} {
		if got := [2]string{aws.Endpoint(url), aws.Region(url)}; got != want {
			t.Errorf("%s: got endpoint and region %q, want %q", url, got, want)
		}
	}
}

func TestLoadConfig(t *testing.T) {
	for _, name := range []string{"AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	if _, err := aws.LoadConfig(t.Context(), "", "", 1); err == nil {
		t.Error("AWS without a region: got no error, want one")
	}
	if cfg, err := aws.LoadConfig(t.Context(), "", "eu-west-1", 1); err != nil || cfg.Region != "eu-west-1" ||
		cfg.BaseEndpoint != nil {
		t.Errorf("AWS: got %q, %v, %v, want eu-west-1, nil, nil", cfg.Region, cfg.BaseEndpoint, err)
	}
	cfg, err := aws.LoadConfig(t.Context(), "http://127.0.0.1:4566/", "", 1)
	if err != nil || cfg.Region != "us-east-1" || *cfg.BaseEndpoint != "http://127.0.0.1:4566" {
		t.Fatalf("emulator: got %+v, %v, want us-east-1 and the endpoint", cfg, err)
	}
	if c, err := cfg.Credentials.Retrieve(t.Context()); err != nil || c.AccessKeyID != "local" {
		t.Errorf("emulator: got key %q, %v, want local", c.AccessKeyID, err)
	}
	t.Setenv("AWS_DEFAULT_REGION", "eu-central-1")
	if cfg, err := aws.LoadConfig(t.Context(), "http://127.0.0.1:4566", "", 1); err != nil ||
		cfg.Region != "eu-central-1" {
		t.Errorf("region of the environment: got %q, %v, want eu-central-1", cfg.Region, err)
	}
	for _, endpoint := range []string{"127.0.0.1:4566", "ftp://127.0.0.1", "http://", "http://127.0.0.1:4566/queue"} {
		if _, err := aws.LoadConfig(t.Context(), endpoint, "", 1); err == nil {
			t.Errorf("endpoint %q: got no error, want one", endpoint)
		}
	}
}
