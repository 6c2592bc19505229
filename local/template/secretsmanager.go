package template

import "regexp"

// secretTypes are AWS Secrets Manager's.
func secretTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::SecretsManager::Secret": {resourceType: resourceType{
			schema: schema{
				"Description": known, "Name": known, "SecretString": known, "Tags": known, "KmsKeyId": known,
				"GenerateSecretString": of(schema{
					"PasswordLength": known, "ExcludeCharacters": known, "ExcludeLowercase": known, "ExcludeNumbers": known,
					"ExcludePunctuation": known, "ExcludeUppercase": known,
					"IncludeSpace":            refused("generated secrets have no spaces here"),
					"RequireEachIncludedType": refused("generated secrets hold every type, or not, by chance here"),
					"GenerateStringKey":       refused("secrets are generated as plain text here; give a SecretString"),
					"SecretStringTemplate":    refused("secrets are generated as plain text here; give a SecretString"),
				}),
				"ReplicaRegions": refused("there is one Region here"),
				"Type":           refused("secrets of other services are not managed here"),
				"Id":             returned,
			},
			nameProperty: "Name", namePattern: secretName, nameLimit: 512, ref: secretARN, attributes: map[string]string{"Id": secretARN},
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

func (b *builder) readSecret(r *resource, p properties) {
	s := Secret{Source: b.source(r.id, r.position), Name: b.name(r), ARN: b.reference(r), Value: p.text("SecretString")}
	if p.has("GenerateSecretString") {
		generate := p.part("GenerateSecretString")
		if p.has("SecretString") {
			p.problem("SecretString", "cannot be given with GenerateSecretString")
		}
		s.Generate = &GeneratedSecret{
			Length:           generate.between("PasswordLength", 32, 1, maxSecretLength),
			ExcludeLowercase: generate.boolean("ExcludeLowercase", false), ExcludeUppercase: generate.boolean("ExcludeUppercase", false),
			ExcludeNumbers: generate.boolean("ExcludeNumbers", false), ExcludePunctuation: generate.boolean("ExcludePunctuation", false),
			ExcludeCharacters: generate.text("ExcludeCharacters"),
		}
	}
	b.secrets = append(b.secrets, pending[Secret]{s, p})
}
