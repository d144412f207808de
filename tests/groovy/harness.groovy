// Runs a script of pipeline steps without Jenkins: the steps are stand-ins, `sh` really runs, and whatever a step is given or gives back
// must survive serialisation, as it must on a controller that restarts.
//
// usage: groovy harness.groovy SCRIPT REQUEST.json
// The request: {"call": map for otagate(), "env": map, "credentials": {id: {"text": …} or {"file": path}}, "folder": path}.
// Prints one JSON object: {"result": …, "error": …, "steps": [names], "console": text}.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

class StepError extends RuntimeException {
    StepError(String message) { super(message) }
}

class World {
    Map request
    Map<String, String> variables = [:]
    List steps = []
    StringBuilder console = new StringBuilder()

    void mustSerialise(Object value) {
        if (!(value instanceof Closure)) {
            new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(value)
        }
    }

    Object step(String name, List arguments) {
        steps.add(name)
        arguments.each { mustSerialise(it) }
        Object result = this."$name"(*arguments)
        mustSerialise(result)
        return result
    }

    boolean isUnix() { request.unix != false }
    void echo(String message) { console.append(message).append('\n') }
    void error(String message) { throw new StepError(message) }
    Map string(Map it) { [kind: 'text', id: it.credentialsId, variable: it.variable] }
    Map file(Map it) { [kind: 'file', id: it.credentialsId, variable: it.variable] }

    Object withVariables(Map more, Closure body) {
        Map before = new LinkedHashMap(variables)
        variables.putAll(more)
        try { return body() } finally { variables.clear(); variables.putAll(before) }
    }

    Object withEnv(List settings, Closure body) {
        Map more = [:]
        settings.each { String it -> more[it.substring(0, it.indexOf('='))] = it.substring(it.indexOf('=') + 1) }
        return withVariables(more, body)
    }

    Object withCredentials(List bindings, Closure body) {
        Map more = [:]
        bindings.each { Map it ->
            Map credential = request.credentials[it.id]
            if (!credential?.containsKey(it.kind)) { throw new StepError("no credential ${it.id} of kind ${it.kind}") }
            more[it.variable] = credential[it.kind]
        }
        return withVariables(more, body)
    }

    Object sh(Map it) {
        List<String> environ = (request.env + variables).collect { key, value -> "$key=$value" as String }
        // Jenkins runs the text of `script` as a file of `sh -xe`, with both streams on the console.
        Process process = ['sh', '-xec', it.script as String].execute(environ, new File(request.folder as String))
        StringBuilder out = new StringBuilder()
        process.waitForProcessOutput(it.returnStdout ? out : console, console)
        int code = process.exitValue()
        if (it.returnStatus) { return code }
        if (code != 0) { throw new StepError("script returned exit code $code") }
        return it.returnStdout ? out.toString() : null
    }

    String readFile(Map it) { new File(it.file as String).getText(it.encoding as String) }
}

abstract class Steps extends Script {
    Object methodMissing(String name, Object arguments) {
        return binding.getVariable('world').step(name, arguments as List)
    }
}

Map request = new JsonSlurper().parse(new File(args[1])) as Map
World world = new World(request: request)
def configuration = new org.codehaus.groovy.control.CompilerConfiguration(scriptBaseClass: Steps.name)
def shell = new GroovyShell(this.class.classLoader, new Binding([world: world, env: request.env]), configuration)
Map answer = [steps: world.steps]
try {
    answer.result = shell.evaluate(new File(args[0])).otagate(new LinkedHashMap(request.call as Map))
} catch (StepError error) {
    answer.error = error.message
}
answer.console = world.console.toString()
println(JsonOutput.toJson(answer))
