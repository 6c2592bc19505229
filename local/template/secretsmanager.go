package template

import (
	"regexp"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// secretTypes are AWS Secrets Manager's.
func secretTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::SecretsManager::Secret": {Type: cfn.Type{
			Schema: tree.Schema{
				"Description": tree.Accepted, "Name": tree.Accepted, "SecretString": tree.Accepted, "Tags": tree.Accepted, "KmsKeyId": tree.Accepted,
				"GenerateSecretString": tree.Nested(tree.Schema{
					"PasswordLength": tree.Accepted, "ExcludeCharacters": tree.Accepted, "ExcludeLowercase": tree.Accepted, "ExcludeNumbers": tree.Accepted,
					"ExcludePunctuation": tree.Accepted, "ExcludeUppercase": tree.Accepted,
					"IncludeSpace":            tree.Refused("generated secrets have no spaces here"),
					"RequireEachIncludedType": tree.Refused("generated secrets hold every type, or not, by chance here"),
					"GenerateStringKey":       tree.Refused("secrets are generated as plain text here; give a SecretString"),
					"SecretStringTemplate":    tree.Refused("secrets are generated as plain text here; give a SecretString"),
				}),
				"ReplicaRegions": tree.Refused("there is one Region here"),
				"Type":           tree.Refused("secrets of other services are not managed here"),
				"Id":             tree.Returned,
			},
			NameProperty: "Name", NamePattern: secretName, NameLimit: 512, Ref: secretARN, Attributes: map[string]string{"Id": secretARN},
		}, read: (*builder).readSecret,
		},
	}
}

// secretARN ends with characters that AWS makes up.
const secretARN = "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}"

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
var secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

// maxSecretLength is the longest secret that can be generated, in characters.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
const maxSecretLength = 4096

// Secret is a secret of Secrets Manager.
type Secret struct {
	Source
	// Name and ARN are the secret's.
	Name, ARN string
	// Value is the template's SecretString; empty when the value is generated.
	Value string
	// Generate says how the value is made when the template gives none; nil with a Value, or when there is none yet.
	Generate *GeneratedSecret
}

// GeneratedSecret says which characters a generated secret has.
type GeneratedSecret struct {
	// Length is 1 to 4096 characters; 32 when the template says nothing.
	Length int
	// ExcludeLowercase and its like leave out a whole kind, ExcludeCharacters single ones.
	ExcludeLowercase, ExcludeUppercase, ExcludeNumbers, ExcludePunctuation bool
	ExcludeCharacters                                                      string
}

func (b *builder) readSecret(r *cfn.Resource, p tree.Reader) {
	s := Secret{Source: b.source(r.ID, r.Position), Name: b.Name(r), ARN: b.Reference(r), Value: p.Text("SecretString")}
	if p.Has("GenerateSecretString") {
		generate := p.Part("GenerateSecretString")
		if p.Has("SecretString") {
			p.Problem("SecretString", "cannot be given with GenerateSecretString")
		}
		s.Generate = &GeneratedSecret{
			Length:           generate.Between("PasswordLength", 32, 1, maxSecretLength),
			ExcludeLowercase: generate.Bool("ExcludeLowercase", false), ExcludeUppercase: generate.Bool("ExcludeUppercase", false),
			ExcludeNumbers: generate.Bool("ExcludeNumbers", false), ExcludePunctuation: generate.Bool("ExcludePunctuation", false),
			ExcludeCharacters: generate.Text("ExcludeCharacters"),
		}
	}
	b.secrets = append(b.secrets, pending[Secret]{s, p})
}
