package template

import (
	"regexp"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// secretTypes returns the types of Secrets Manager.
func secretTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::SecretsManager::Secret": {Type: cfn.Type{
			Schema: tree.Schema{
				"Description": tree.Accepted, "Name": tree.Accepted, "SecretString": tree.Accepted, "Tags": tree.Accepted,
				"KmsKeyId": tree.Accepted,
				"GenerateSecretString": tree.Nested(tree.Schema{
					"PasswordLength": tree.Accepted, "ExcludeCharacters": tree.Accepted, "ExcludeLowercase": tree.Accepted,
					"ExcludeNumbers":     tree.Accepted,
					"ExcludePunctuation": tree.Accepted, "ExcludeUppercase": tree.Accepted,
					"IncludeSpace":            tree.Refused("generated secrets have no spaces here"),
					"RequireEachIncludedType": tree.Refused("a generated secret need not have every type of character here"),
					"GenerateStringKey":       tree.Refused("secrets are generated as plain text here; give a SecretString"),
					"SecretStringTemplate":    tree.Refused("secrets are generated as plain text here; give a SecretString"),
				}),
				"ReplicaRegions": tree.Refused("there is one Region here"),
				"Type":           tree.Refused("secrets of other services are not managed here"),
				"Id":             tree.Returned,
			},
			NameProperty: "Name", NamePattern: secretName, NameLimit: 512, Ref: secretARN,
			Attributes: map[string]string{"Id": secretARN},
		}, read: (*builder).readSecret,
		},
	}
}

// secretARN is the pattern of a secret's ARN. Secrets Manager adds random characters to the name.
const secretARN = "arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}"

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
var secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

// maxSecretLength is the greatest length of a generated secret, in characters.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
const maxSecretLength = 4096

// Secret is a secret of Secrets Manager.
type Secret struct {
	Source
	// Name and ARN are the name and the ARN of the secret.
	Name, ARN string
	// Value is the property SecretString. It is empty when the value is generated.
	Value string
	// Generate describes the generated value. It is nil with a Value, or when the secret has no value.
	Generate *GeneratedSecret
}

// GeneratedSecret describes the value of a generated secret.
type GeneratedSecret struct {
	// Length is 1 to 4,096 characters. The default is 32.
	Length int
	// These exclude kinds of characters, and ExcludeCharacters single characters.
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
			Length:             generate.Between("PasswordLength", 32, 1, maxSecretLength),
			ExcludeLowercase:   generate.Bool("ExcludeLowercase", false),
			ExcludeUppercase:   generate.Bool("ExcludeUppercase", false),
			ExcludeNumbers:     generate.Bool("ExcludeNumbers", false),
			ExcludePunctuation: generate.Bool("ExcludePunctuation", false),
			ExcludeCharacters:  generate.Text("ExcludeCharacters"),
		}
	}
	b.secrets = append(b.secrets, pending[Secret]{s, p})
}
