// Ships a Capacitor web build over the air. Load this file from a checkout of otagate and call its one step:
//
//   def ship
//   dir("${env.WORKSPACE}@otagate") {
//       checkout(scmGit(branches: [[name: 'refs/tags/v0.1.0']], userRemoteConfigs: [[url: 'https://git.example.com/mirrors/otagate.git']]))
//       ship = load('Jenkinsfile.groovy')
//   }
//   Map result = ship.otagate(source: "${env.WORKSPACE}@otagate", command: 'run', 'signing-key': 'otagate-signing-key')
//   echo("shipped ${result['version']}")
//
// Each key is the command-line option of the same name; docs/ci.md has the table. `signing-key`, `encryption-key`, `server-token` and
// `github-token` take the id of a "secret text" credential, or `file:` and the id of a "secret file". There is no logic here, only
// steps, plain lists and maps: it runs in the sandbox and survives a restart of the controller.

Map otagate(Map config = [:]) {
    List<String> inputs = [
        'command', 'policy', 'working-directory', 'version', 'no-build', 'wait', 'detailed-exitcode', 'dry-run', 'comment', 'channel',
        'release', 'weight', 'lower', 'phase', 'override', 'to', 'reason', 'all', 'junit', 'max-age', 'in-use', 'ignore-telemetry',
        'grace', 'read-only',
    ]
    List<String> secrets = ['signing-key', 'encryption-key', 'server-token', 'github-token']
    List<String> settings = []
    List bindings = []
    for (String key in (config.keySet() as List)) {
        String value = (config[key] as String) ?: ''
        String variable = 'OTAGATE_INPUT_' + key.toUpperCase().replace('-', '_')
        if (inputs.contains(key)) {
            settings.add(variable + '=' + value)
        } else if (secrets.contains(key) && value.startsWith('file:')) {
            bindings.add(file(credentialsId: value.substring(5), variable: variable))
        } else if (secrets.contains(key)) {
            bindings.add(string(credentialsId: value, variable: variable))
        } else if (key != 'source') {
            error('otagate: there is no key ' + key + '; there are source, ' + (inputs + secrets).join(', '))
        }
    }
    if (!isUnix()) {
        error('otagate: this step needs an agent with a Unix shell')
    }
    String temporary = env.WORKSPACE_TMP ?: env.WORKSPACE + '@tmp'
    String outputs = sh(label: 'otagate: a file for the outputs', returnStdout: true, script: 'mktemp').trim()
    settings.add('OTAGATE_SOURCE=' + (config['source'] ?: env.OTAGATE_SOURCE ?: env.WORKSPACE + '@otagate'))
    settings.add('OTAGATE_HOME=' + temporary + '/otagate')
    settings.add('OTAGATE_OUTPUTS=' + outputs)
    int status = 1
    Map result = [:]
    withEnv(settings) {
        withCredentials(bindings) {
            status = sh(label: 'otagate', returnStatus: true, script: 'set +x; exec python3 -I "$OTAGATE_SOURCE/src/otagate/ci/boot.py"')
        }
        for (String line in readFile(file: outputs, encoding: 'UTF-8').split('\n')) {
            int at = line.indexOf('=')
            if (at > 0) {
                result[line.substring(0, at)] = line.substring(at + 1)
            }
        }
        sh(label: 'otagate: tidy up', script: 'rm -f "$OTAGATE_OUTPUTS"')
    }
    if (status != 0) {
        error('otagate ended with exit code ' + status + '; its message is in the log above, and docs/ci.md says what the codes mean')
    }
    return result
}

return this
